import { useEffect, useRef, useState } from "preact/hooks";
import * as api from "../api";

/** The server's own list of routes: it wants the token, which no link could carry. */
export function Routes() {
  const place = useRef<HTMLDivElement>(null);
  const [said, setSaid] = useState("…");
  useEffect(() => {
    const show = (html: string) => {
      const page = new DOMParser().parseFromString(html, "text/html");
      place.current?.replaceChildren(...page.body.childNodes);
      setSaid("");
    };
    api.routes().then(show, (error: unknown) => setSaid(`${(error as Error).message}`));
  }, []);
  const follow = (event: MouseEvent) => {
    const link = (event.target as Element).closest("a");
    if (!link) return;
    event.preventDefault(); // the address stays as it is
    place.current?.querySelector(`#${CSS.escape(link.hash.slice(1))}`)?.scrollIntoView();
  };
  return (
    <div class="routes">
      <p>
        Programs ask the server by these routes, with the header <code>Authorization: Bearer TOKEN</code>;
        the token stands in the address that samkit annotate printed.
      </p>
      {said && <p role="status">{said}</p>}
      <div ref={place} data-testid="routes" onClick={follow} />
    </div>
  );
}
