// Where two answers differ, by words; by characters in scripts that put no space between words.

/** A stretch of one text; same: the other text has it too, at this place in the order. */
export interface Stretch { text: string; same: boolean }

const SPACELESS = String.raw`[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}]`;
/** A character without spaces around it, a word, white space, or any other character; each with the marks that belong to it. */
const TOKEN = new RegExp(String.raw`${SPACELESS}\p{M}*|(?:(?!${SPACELESS})[\p{L}\p{N}\p{M}_])+|\s+|.(?:\p{M}|\p{Emoji_Modifier}|\u200d.)*`, "gsu");
/** More pairs of words than this are not compared one by one: the page has to answer while somebody scrolls. */
const MOST = 4_000_000;

export const tokens = (text: string): string[] => text.match(TOKEN) ?? [];

/** The two texts in stretches that both have or one alone; together the stretches of a text are the text. Spaces count for nothing. */
export function diff(left: string, right: string): [Stretch[], Stretch[]] {
  const [a, b] = [tokens(left), tokens(right)];
  const [wordsA, wordsB] = [places(a), places(b)];
  const [sameA, sameB] = [new Set<number>(), new Set<number>()];
  for (const [m, n] of common(wordsA.map((at) => a[at]!), wordsB.map((at) => b[at]!))) {
    sameA.add(wordsA[m]!);
    sameB.add(wordsB[n]!);
  }
  return [stretches(a, sameA), stretches(b, sameB)];
}

/** Where the tokens that are no space stand. */
const places = (list: string[]): number[] => list.flatMap((token, at) => (token.trim() ? [at] : []));

/** Pairs of places of a longest common subsequence. */
function common(a: string[], b: string[]): [number, number][] {
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < Math.min(a.length, b.length) - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
  const head = Array.from({ length: start }, (_, at): [number, number] => [at, at]);
  const tail = Array.from({ length: end }, (_, at): [number, number] => [a.length - end + at, b.length - end + at]);
  const middle = subsequence(a.slice(start, a.length - end), b.slice(start, b.length - end));
  return [...head, ...middle.map(([m, n]): [number, number] => [m + start, n + start]), ...tail];
}

function subsequence(a: string[], b: string[]): [number, number][] {
  const width = b.length + 1;
  if (!a.length || !b.length || a.length * b.length > MOST) return [];
  const longest = new Uint32Array((a.length + 1) * width);
  for (let m = a.length - 1; m >= 0; m--) {
    for (let n = b.length - 1; n >= 0; n--) {
      longest[m * width + n] = a[m] === b[n] ? longest[(m + 1) * width + n + 1]! + 1 : Math.max(longest[(m + 1) * width + n]!, longest[m * width + n + 1]!);
    }
  }
  const pairs: [number, number][] = [];
  for (let m = 0, n = 0; m < a.length && n < b.length; ) {
    if (a[m] === b[n]) pairs.push([m++, n++]);
    else if (longest[(m + 1) * width + n]! >= longest[m * width + n + 1]!) m++;
    else n++;
  }
  return pairs;
}

/** Tokens of one kind joined; a space differs where what stands before and behind it does. */
function stretches(list: string[], same: Set<number>): Stretch[] {
  const differs = (at: number) => at >= 0 && at < list.length && !same.has(at);
  const found: Stretch[] = [];
  list.forEach((text, at) => {
    const kind = text.trim() ? same.has(at) : !(differs(at - 1) && differs(at + 1));
    const last = found.at(-1);
    if (last?.same === kind) last.text += text;
    else found.push({ text, same: kind });
  });
  return found;
}
