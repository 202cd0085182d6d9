"""The paper's theory of convolutional generators: closed forms to compare with measured gradient descent."""
