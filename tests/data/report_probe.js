// Looks at the page in the frame as a person would: sizes, colours, what overlaps, what is cut off.
addEventListener("load", () => {
  const frame = document.querySelector("iframe"), inner = frame.contentDocument, root = inner.documentElement;
  const colour = text => (text.match(/[\d.]+/g) || []).map(Number);
  const style = element => frame.contentWindow.getComputedStyle(element);

  function background(element) {
    const layers = [];
    for (let each = element; each; each = each.parentElement) layers.unshift(colour(style(each).backgroundColor));
    return layers.reduce((below, [r, g, b, a = 1]) =>
      [r, g, b].map((part, i) => part * a + below[i] * (1 - a)), [255, 255, 255]);
  }
  const luminance = rgb => {
    const [r, g, b] = rgb.map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  function contrast(element) {
    const own = colour(element.namespaceURI.endsWith("svg") ? style(element).fill : style(element).color);
    const [a, b] = [luminance(own.slice(0, 3)), luminance(background(element))].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  }
  const hasText = e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
  const isShown = e => e.getClientRects().length > 0;
  const shown = [...inner.body.querySelectorAll("*")].filter(e => hasText(e) && isShown(e));
  const meets = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;

  function plot(svg) {
    const box = svg.getBoundingClientRect(), texts = [...svg.querySelectorAll("text")];
    const boxes = texts.map(t => t.getBoundingClientRect());
    const count = name => svg.querySelectorAll(name).length;
    return {
      width: box.width, height: box.height,
      dots: count(".dot"), rings: count(".ring"), crosses: count(".cross"),
      clipped: texts.filter((t, i) => boxes[i].left < box.left - 1 || boxes[i].right > box.right + 1
        || boxes[i].bottom > box.bottom + 1).map(t => t.textContent),
      overlapping: texts.filter((t, i) => boxes.some((other, j) => j > i && meets(boxes[i], other))).map(t => t.textContent),
    };
  }
  const wide = [...inner.body.querySelectorAll("main > *, .card > *, .card")]
    .filter(e => e.getBoundingClientRect().right > root.clientWidth + 0.5).map(e => e.className || e.tagName);
  const report = {
    overflow: root.scrollWidth - root.clientWidth, wide,
    height: root.scrollHeight,
    dark: luminance(background(inner.body)) < 0.2,
    unreadable: shown.filter(e => contrast(e) < 4.5).map(e => `${e.className} ${e.textContent.slice(0, 40)} ${contrast(e).toFixed(2)}`),
    plots: [...inner.querySelectorAll("svg.plot")].map(plot),
    marked: [...inner.querySelectorAll("article > .excerpt mark")].map(m => m.textContent),
  };
  const out = document.createElement("pre");
  out.id = "seen";
  out.textContent = JSON.stringify(report);
  document.body.append(out);
});
