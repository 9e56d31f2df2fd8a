/** Programs and libraries of Linux by their first bytes. */
import { closeSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { entriesOf } from '../tree.ts';

const magic = Buffer.from([0x7f, 0x45, 0x4c, 0x46]);

/** ELF files below a folder that this machine could run or link: BPF objects are others. */
export function programsIn(root: string): readonly string[] {
  return entriesOf(root)
    .filter(({ kind, path }) => kind === 'file' && !path.endsWith('.bpf.o'))
    .map(({ path }) => join(root, path))
    .filter(isElf);
}

function isElf(path: string): boolean {
  const file = openSync(path, 'r');
  try {
    const first = Buffer.alloc(magic.length);
    return readSync(file, first) === magic.length && first.equals(magic);
  } finally {
    closeSync(file);
  }
}
