// All scripts of the page come in this one file, because a hundred small ones take a browser a second. Each is still a module of
// its own: here they get addresses, and an import map by which they find each other. Developer tools show them by their files.
// `FILES` and `FOLDER` are written by script_pack.py.
{
  const imports = {};
  for (const [path, text] of Object.entries(FILES)) {
    imports[`easel/${path}`] = URL.createObjectURL(new Blob([text, `\n//# sourceURL=${location.origin}${FOLDER}/${path}`], { type: "text/javascript" }));
  }
  for (const path of ASIDE) imports[`easel/${path}`] = `.${FOLDER}/${path}`;
  imports.easel = imports[`easel/${FACE}`];
  const map = document.createElement("script");
  map.type = "importmap";
  map.textContent = JSON.stringify({ imports });
  document.currentScript.after(map);
}
