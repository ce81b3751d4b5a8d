/** What an event is about, in the order of the numbers of `EventBatch.category`. */
export const CATEGORIES = ["unknown", "syscall", "network", "filesystem", "process"] as const;
export type Category = typeof CATEGORIES[number];
