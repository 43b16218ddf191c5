/** A text by the number that it tells of. */
export type Plural = Partial<Record<Intl.LDMLPluralRule, string>> & { other: string };
/** Names of settings by their keys; their helps come from the server, in the page's language. */
export type Labels = Record<string, string>;
