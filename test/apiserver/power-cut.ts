/**
 * A disk of which only what was synced is certain. After a cut each write since the last sync of its file may be there, half
 * or not at all, in any order; a file's name may be missing until its folder was synced.
 */
import type { FileEvent } from './strace.ts';

interface FileState {
  /** As of the last sync. */
  certain: Buffer;
  pending: (FileEvent & { kind: 'write' | 'truncate' })[];
  named: 'certain' | 'perhaps';
}

/** 0 to 1. */
export type Chance = () => number;

const sector = 512;

export class Disk {
  readonly #files = new Map<string, FileState>();
  /** Unlinked, and perhaps still there. */
  readonly #unlinked = new Map<string, FileState>();

  apply(event: FileEvent): void {
    switch (event.kind) {
      case 'created':
        if (!this.#files.has(event.file))
          this.#files.set(event.file, { certain: Buffer.alloc(0), pending: [], named: 'perhaps' });
        break;
      case 'write':
      case 'truncate':
        this.#files.get(event.file)?.pending.push(event);
        break;
      case 'unlink': {
        const state = this.#files.get(event.file);
        if (state === undefined) break;
        this.#files.delete(event.file);
        this.#unlinked.set(event.file, state);
        break;
      }
      case 'sync':
        this.#sync(event.file);
        break;
      case 'said':
      case 'answered':
        break;
    }
  }

  #sync(file: string): void {
    if (file === '') {
      for (const state of this.#files.values()) state.named = 'certain';
      this.#unlinked.clear();
      return;
    }
    const state = this.#files.get(file);
    if (state === undefined) return;
    for (const write of state.pending) state.certain = written(state.certain, write);
    state.pending = [];
  }

  /** What one finds after a cut, by file. `keep`: how likely an unsynced write is there. */
  afterCut(chance: Chance, keep: number): ReadonlyMap<string, Buffer> {
    const found = new Map<string, Buffer>();
    for (const [file, state] of [...this.#unlinked, ...this.#files]) {
      const perhaps = state.named === 'perhaps' || this.#unlinked.get(file) === state;
      if (perhaps && chance() >= keep) continue;
      let content = state.certain;
      for (const write of state.pending) {
        if (chance() >= keep) continue;
        content = written(content, chance() < 0.2 ? torn(write, chance) : write);
      }
      found.set(file, content);
    }
    return found;
  }
}

function torn(write: FileEvent & { kind: 'write' | 'truncate' }, chance: Chance): typeof write {
  if (write.kind === 'truncate') return write;
  const sectors = Math.floor((chance() * write.bytes.length) / sector);
  return { ...write, bytes: write.bytes.subarray(0, sectors * sector) };
}

function written(content: Buffer, write: FileEvent & { kind: 'write' | 'truncate' }): Buffer {
  if (write.kind === 'truncate') {
    const cut = Buffer.alloc(write.length);
    content.copy(cut);
    return cut;
  }
  const { offset, bytes } = write;
  const result = Buffer.alloc(Math.max(content.length, offset + bytes.length));
  content.copy(result);
  bytes.copy(result, offset);
  return result;
}
