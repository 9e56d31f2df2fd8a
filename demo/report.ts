/** What the demo prints: numbered claims, each with a mark and the evidence for it. */

/** Thrown by a claim that does not hold; the lines say what was seen instead. */
export class ClaimFailed extends Error {
  readonly lines: readonly string[];

  constructor(...lines: readonly string[]) {
    super(lines.join('\n'));
    this.name = 'ClaimFailed';
    this.lines = lines;
  }
}

const colour = process.stdout.isTTY === true;
const paint = (code: number, text: string) => (colour ? `\x1b[${code}m${text}\x1b[0m` : text);
const green = (text: string) => paint(32, text);
const red = (text: string) => paint(31, text);
const bold = (text: string) => paint(1, text);
const grey = (text: string) => paint(90, text);

/** Longer than this is said, and is no failure: a machine may be busy. */
const expectedSeconds = 50;

export class Report {
  #held = 0;
  #failed = 0;

  heading(text: string): void {
    process.stdout.write(`\n${bold(text)}\n`);
  }

  line(text: string): void {
    process.stdout.write(`  ${text}\n`);
  }

  note(text: string): void {
    process.stdout.write(`  ${grey(text)}\n`);
  }

  /** Runs one claim; `check` returns its evidence, or throws. */
  async claim(title: string, check: () => Promise<readonly string[]>): Promise<void> {
    const number = this.#held + this.#failed + 1;
    try {
      const evidence = await check();
      this.#held++;
      this.#print(green('✔'), `${number}. ${title}`, evidence);
    } catch (e) {
      this.#failed++;
      const lines = e instanceof ClaimFailed ? e.lines : [e instanceof Error ? e.message : String(e)];
      this.#print(red('✘'), `${number}. ${title}`, lines);
    }
  }

  #print(mark: string, title: string, lines: readonly string[]): void {
    process.stdout.write(`\n${mark} ${bold(title)}\n`);
    for (const line of lines) process.stdout.write(`    ${line}\n`);
  }

  /** Prints the result; true when every claim held. */
  summary(seconds: number): boolean {
    const all = this.#held + this.#failed;
    const text = `${this.#held} of ${all} claims hold, ${seconds.toFixed(1)} s`;
    process.stdout.write(`\n${this.#failed === 0 ? green(`✔ ${text}`) : red(`✘ ${text}`)}\n`);
    if (seconds > expectedSeconds) this.note(`that took more than ${expectedSeconds} s: this machine is slow or busy`);
    return this.#failed === 0;
  }
}
