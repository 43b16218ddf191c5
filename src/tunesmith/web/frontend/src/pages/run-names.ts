/** What runs are called beside each other: of each id the last parts, as few as tell it from the others. */
export function namesOf(ids: string[]): string[] {
  return ids.map((id) => {
    const parts = id.split("/");
    const others = ids.filter((other) => other !== id);
    for (let n = 1; n < parts.length; n++) {
      const end = parts.slice(-n).join("/");
      if (!others.some((other) => `/${other}`.endsWith(`/${end}`))) return end;
    }
    return id;
  });
}
