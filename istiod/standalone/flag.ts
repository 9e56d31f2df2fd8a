/** What tells the program that it is both servers in one, apart from their settings: those load both servers' modules. */
export const standaloneFlag = '--standalone';

export function isStandalone(args: readonly string[]): boolean {
  return args.includes(standaloneFlag);
}
