// Draws the formulas of a page, which mkdocs leaves as \(…\) and \[…\], by KaTeX (katex/, version 0.19.1, MIT licence).
for (const element of document.querySelectorAll(".arithmatex")) {
  const text = element.textContent.trim();
  katex.render(text.slice(2, -2), element, { displayMode: text.startsWith("\\["), throwOnError: false });
}
