import { useRef, type ReactNode } from "react";
import { late } from "./late";

/** Buttons that change by themselves, under the mouse of whoever is about to press one: a click that comes right after
 * was meant for what stood there. of: what they depend on. */
export function Steady({ of, children }: { of: string; children: ReactNode }) {
  const changed = useRef({ of, at: -Infinity });
  if (changed.current.of !== of) changed.current = { of, at: performance.now() };
  return (
    <span
      style={{ display: "contents" }}
      onClickCapture={(event) => {
        if (!late(changed.current.at, performance.now())) return;
        event.preventDefault();
        event.stopPropagation();
      }}
    >{children}</span>
  );
}
