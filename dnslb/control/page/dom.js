// Elements from data. Text goes in as text: what a mail server says about itself is never read as HTML.

/**
 * Make an element. Attributes that are false are left out, those that are true empty; children are elements or text.
 */
export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

export const byId = (id) => document.getElementById(id);

/** Set a text, an attribute or a class only where it is another one: what is touched is laid out anew. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setAttribute(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

/**
 * Keep the children of `parent` equal to `items` (an iterable of [key, value]), in their order: `make(key)` returns a
 * new child, which has a property `node`, and `update(child, value, key)` is called for each. `children` is the Map of
 * those there are; who is gone is removed.
 */
export function keep(parent, children, items, make, update) {
  const wanted = new Set();
  let before = parent.firstElementChild;
  for (const [key, value] of items) {
    wanted.add(key);
    let child = children.get(key);
    if (child === undefined) children.set(key, (child = make(key)));
    if (child.node === before) before = before.nextElementSibling;
    else parent.insertBefore(child.node, before);
    update(child, value, key);
  }
  for (const [key, child] of children) {
    if (wanted.has(key)) continue;
    child.node.remove();
    children.delete(key);
  }
}
