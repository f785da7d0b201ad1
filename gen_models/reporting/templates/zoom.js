// A picture becomes a button that opens it as large as the window, or three times that, to scroll in.
// Its own text names both the button and the dialog; Escape closes, and the focus goes back.
for (const image of document.querySelectorAll("figure img")) {
  const picture = image.closest("picture") || image;
  const open = document.createElement("button");
  open.type = "button";
  open.className = "open";
  open.setAttribute("aria-haspopup", "dialog");
  picture.replaceWith(open);
  open.append(picture);
  open.addEventListener("click", () => {
    const part = (name, text, parent) => {
      const made = document.createElement(name);
      made.append(text);
      parent.append(made);
      return made;
    };
    const dialog = part("dialog", "", document.body);
    dialog.className = "zoom";
    dialog.setAttribute("aria-label", image.alt);
    const bar = part("p", "", dialog);
    const close = part("button", "Close", bar);
    const larger = part("button", "Larger", bar);
    const view = part("div", picture.cloneNode(true), dialog);
    view.tabIndex = 0;
    view.setAttribute("role", "group");
    view.setAttribute("aria-label", "The picture, to scroll in");
    const turn = () => {
      larger.textContent = dialog.classList.toggle("large") ? "Smaller" : "Larger";
    };
    close.addEventListener("click", () => dialog.close());
    larger.addEventListener("click", turn);
    view.addEventListener("click", turn);
    dialog.addEventListener("close", () => {
      dialog.remove();
      open.focus();
    });
    dialog.showModal();
  });
}
