// JupyterLab has no setting for its presentation mode: it is switched on here, as View, Presentation Mode does.
// This is a prebuilt extension in its smallest form: JupyterLab asks the object below for the module "./start".
const style = document.createElement("link");
style.rel = "stylesheet";
style.href = new URL("presenting.css", document.currentScript.src);
document.head.append(style);

const start = {
  id: "course-presenting:start",
  autoStart: true,
  activate: (app) => {
    // Not returned: JupyterLab would wait for it before it restores anything.
    app.restored.then(() => {
      const shell = app.shell;
      shell.mode = "single-document";
      shell.presentationMode = true;
      shell.collapseLeft();
      shell.collapseRight();
      for (const side of ["left", "right"]) {
        if (shell.isSideTabBarVisible(side)) shell.toggleSideTabBarVisibility(side);
      }
      if (shell.isTopInSimpleModeVisible()) shell.toggleTopInSimpleModeVisibility();
    });
  },
};

window._JUPYTERLAB = window._JUPYTERLAB || {};
window._JUPYTERLAB["course-presenting"] = {
  init: () => undefined,
  get: () => Promise.resolve(() => ({ __esModule: true, default: start })),
};
