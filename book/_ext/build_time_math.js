// Both renderings of one formula. Runs while the book is built, in QuickJS.
// Strict where TeX is: KaTeX must not set what LaTeX will refuse.
(tex, displayMode, macros) => {
  const options = () =>
    ({displayMode, macros: JSON.parse(macros), strict: "error"});
  try {
    return JSON.stringify({
      seen: katex.renderToString(tex, {...options(), output: "html"}),
      read: temml.renderToString(tex, {...options(), throwOnError: true}),
    });
  } catch (error) {
    return JSON.stringify({error: error.rawMessage ?? error.message});
  }
}
