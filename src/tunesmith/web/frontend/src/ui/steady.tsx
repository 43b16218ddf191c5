import { useEffect, useState, type ReactNode } from "react";

const STILL = 600;

/** Buttons that change by themselves, under the mouse of whoever is about to press one: for a moment after that nothing
 * is pressed, as the click was meant for what stood there. of: what they depend on. */
export function Steady({ of, children }: { of: string; children: ReactNode }) {
  const [shown, setShown] = useState({ of, still: false });
  if (shown.of !== of) setShown({ of, still: true });
  useEffect(() => {
    if (!shown.still) return;
    const timer = setTimeout(() => setShown({ of: shown.of, still: false }), STILL);
    return () => clearTimeout(timer);
  }, [shown]);
  const keep = (event: { preventDefault: () => void; stopPropagation: () => void }) => {
    if (!shown.still) return;
    event.preventDefault();
    event.stopPropagation();
  };
  return <span role="group" className="steady" aria-disabled={shown.still || undefined} onClickCapture={keep}>{children}</span>;
}
