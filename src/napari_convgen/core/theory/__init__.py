"""The paper's theory of convolutional generators: closed forms to set beside what gradient descent does."""
