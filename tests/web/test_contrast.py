"""Contrast as WCAG 2.2 AA counts it, of the page as it is painted, light and dark."""

from typing import Any

SCHEMES = ("light", "dark")
TEXT, PARTS = 4.5, 3.0  # success criteria 1.4.3 and 1.4.11

MEASURE = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], under) =>
    [r, g, b].map((v, i) => v * a + under[i] * (1 - a)).concat(1);
  const ground = (element) => {
    const stack = [];
    for (let e = element; e; e = e.parentElement) {
      const colour = rgba(getComputedStyle(e).backgroundColor);
      stack.push(colour);
      if (colour[3] === 1) break;
    }
    return stack.reverse().reduce((under, colour) => over(colour, under), [255, 255, 255, 1]);
  };
  const faded = (element) => {
    let alpha = 1;
    for (let e = element; e; e = e.parentElement) alpha *= +getComputedStyle(e).opacity;
    return alpha;
  };
  const light = ([r, g, b]) => [r, g, b]
    .map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ratio = (a, b) => {
    const [high, low] = [light(a), light(b)].sort((x, y) => y - x);
    return (high + 0.05) / (low + 0.05);
  };
  const contrast = (element, colour, behind = ground(element)) => {
    const [r, g, b, a] = rgba(colour);
    return ratio(over([r, g, b, a * faded(element)], behind), behind);
  };
  const name = (e) => `${e.tagName.toLowerCase()}.${e.className} "${e.textContent.slice(0, 30)}"`;
  const seen = (e) => e.checkVisibility() && e.getClientRects().length > 0;
  const top = document.querySelector("dialog[open]") ?? document;
  const all = [...top.querySelectorAll("*")].filter(seen).filter((e) => !e.closest(":disabled"));
  const found = [];
  for (const e of all) {
    const style = getComputedStyle(e);
    if ([...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
      found.push(["text", name(e), contrast(e, style.color)]);
    if (e.placeholder)
      found.push(["text", `placeholder ${e.placeholder}`,
        contrast(e, getComputedStyle(e, "::placeholder").color)]);
    if (e.matches("input:not([type=range])"))
      found.push(["part", `border ${name(e)}`,
        contrast(e, style.borderTopColor, ground(e.parentElement))]);
    if (e.matches("svg.icon"))
      found.push(["part", `icon in ${name(e.parentElement)}`, contrast(e, style.color)]);
    if (e.matches("[aria-pressed=true]"))
      found.push(["part", `pressed ${name(e)}`, contrast(e, style.color)]);
  }
  return found;
}"""

FOCUS = """() => {
  const e = document.activeElement;
  const style = getComputedStyle(e);
  return [`${e.tagName} ${e.dataset.testid ?? e.className}`, style.outlineStyle,
    parseFloat(style.outlineWidth), style.outlineColor,
    getComputedStyle(e.parentElement).backgroundColor];
}"""


def check(person: Any, what: str) -> int:
    """Everything that is to be seen has its contrast; returns how much was measured."""
    found, low = [], []
    for scheme in SCHEMES:
        person.page.emulate_media(color_scheme=scheme)
        found = person.page.evaluate(MEASURE)
        low += [
            f"{what}, {scheme}: {name} has {ratio:.2f}"
            for kind, name, ratio in found
            if ratio < (TEXT if kind == "text" else PARTS)
        ]
    assert low == []
    return len(found)


def test_text_icons_and_borders_have_their_contrast(
    annotator: Any, person: Any, photo: Any
) -> None:
    name = photo("coffee")
    given = [{"box": (20, 20 + 60 * i, 90, 60 + 60 * i), "labels": ["a thing"]} for i in range(4)]
    given[1] |= {"stage": "suggested", "predicted_iou": 0.5}
    given[2] |= {"hidden": True}
    given[3] |= {"locked": True}
    annotator.put(name, given)
    person.open(annotator, name)
    person.wait_for_masks(4)
    person.click(300, 150)
    person.get("candidate").nth(2).wait_for()
    assert check(person, "an object at hand") > 60
    for key in ("Escape", "j"):
        person.get("canvas").focus()
        person.key(key)
    person.page.locator(".instance.active").wait_for()
    check(person, "an object of the list")
    for key, place in (("?", ".help"), (None, ".exports")):
        if key:
            person.key(key)
        else:
            person.get("export").click()
        person.page.locator(place).wait_for()
        assert check(person, place) > 5
        if place == ".help":
            person.get("api").click()
            person.get("routes").get_by_text("POST /api/queue/next").wait_for()
            assert check(person, "the list of routes") > 100
            person.get("routes").locator("a").first.click()
            assert "#" not in person.page.url
            place = ".routes"
        person.page.locator("dialog[open] header button").click()
        person.page.locator(place).wait_for(state="detached")
    person.page.context.set_offline(True)
    person.page.evaluate("() => window.dispatchEvent(new Event('online'))")
    person.paint(200, 300)
    person.key("Enter")
    person.wait_until("offline")
    check(person, "offline")
    person.page.context.set_offline(False)
    person.wait_until("saved")


def test_whatever_has_the_focus_shows_it(annotator: Any, person: Any) -> None:
    person.open(annotator)
    seen = set()
    for scheme in SCHEMES:
        person.page.emulate_media(color_scheme=scheme)
        person.get("canvas").focus()
        for _ in range(40):
            person.key("Tab")
            name, style, width, outline, ground = person.page.evaluate(FOCUS)
            if name.startswith("BODY"):
                continue
            seen.add(name)
            assert style == "solid" and width >= 1, (name, scheme)
            assert ratio(outline, ground) >= PARTS, (name, scheme, outline, ground)
    assert len(seen) > 10


def ratio(first: str, second: str) -> float:
    """Contrast of two colours that the browser computed."""
    levels = sorted(luminance(colour) for colour in (first, second))
    return (levels[1] + 0.05) / (levels[0] + 0.05)


def luminance(colour: str) -> float:
    """Relative luminance of rgb(r, g, b); what is transparent shows the ground of the page."""
    numbers = [float(part) for part in colour[colour.index("(") + 1 : -1].split(",")]
    linear = [
        v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4
        for v in (number / 255 for number in numbers[:3])
    ]
    return sum(v * w for v, w in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))
