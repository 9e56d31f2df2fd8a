/** inotify over a folder and all folders below it. Node's own recursive mode scans asynchronously and loses early events. */
import { type FSWatcher, watch } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isCode } from '../../common/core/files.ts';

export interface TreeWatcherOptions {
  readonly root: string;
  /** Relative path. False: neither watched nor reported, nor anything below it. */
  readonly wants: (path: string) => boolean;
  /** `renamed`: appeared, vanished or was replaced whole; `changed`: written in place. Also called for each file found at the start. */
  readonly onFile: (path: string, how: 'renamed' | 'changed') => void;
  /** A folder is gone, with everything below it. */
  readonly onFolderGone: (path: string) => void;
  /** Watching `path` is not possible any more (for example: the limit fs.inotify.max_user_watches). */
  readonly onError: (path: string, error: Error) => void;
}

export class TreeWatcher {
  readonly #options: TreeWatcherOptions;
  readonly #folders = new Map<string, FSWatcher>();
  #closed = false;

  constructor(options: TreeWatcherOptions) {
    this.#options = options;
  }

  /** Watches first and reads then, so that nothing falls between. Rejects when the root cannot be read. */
  async start(): Promise<void> {
    await this.#add('');
  }

  /** Reports every file again: what repairs an inotify queue that has overflowed. */
  async rescan(): Promise<void> {
    for (const folder of [...this.#folders.keys()]) await this.#scan(folder);
  }

  close(): void {
    this.#closed = true;
    for (const w of this.#folders.values()) w.close();
    this.#folders.clear();
  }

  async #add(folder: string): Promise<void> {
    if (this.#closed || this.#folders.has(folder)) return;
    const watcher = watch(join(this.#options.root, folder), { persistent: false }, (type, name) => {
      // The event names nothing when the folder itself is meant; its parent's watch reports that.
      if (name !== null) void this.#onEvent(folder, name, type === 'rename' ? 'renamed' : 'changed');
    });
    watcher.on('error', (e) => this.#options.onError(folder, e));
    this.#folders.set(folder, watcher);
    await this.#scan(folder);
  }

  async #scan(folder: string): Promise<void> {
    const entries = await this.#entries(folder);
    for (const entry of entries) {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
      if (!this.#options.wants(path)) continue;
      if (entry.isDirectory()) await this.#addIfPresent(path);
      else this.#options.onFile(path, 'renamed');
    }
  }

  async #entries(folder: string) {
    try {
      return await readdir(join(this.#options.root, folder), { withFileTypes: true });
    } catch (e) {
      if (folder !== '' && isCode(e, 'ENOENT')) return [];
      throw e;
    }
  }

  async #onEvent(folder: string, name: string, how: 'renamed' | 'changed'): Promise<void> {
    const path = folder === '' ? name : `${folder}/${name}`;
    if (this.#closed || !this.#options.wants(path)) return;
    // Files of ours have a dot in their name and folders rarely: most events need no stat.
    if (how === 'changed' || (/\.(ya?ml|json)$/.test(name) && !this.#folders.has(path))) {
      this.#options.onFile(path, how);
      return;
    }
    if (await isFolder(join(this.#options.root, path))) {
      // Another folder may have been renamed to this name.
      this.#drop(path);
      await this.#addIfPresent(path);
    } else if (this.#folders.has(path)) {
      this.#drop(path);
      this.#options.onFolderGone(path);
    } else this.#options.onFile(path, how);
  }

  async #addIfPresent(path: string): Promise<void> {
    try {
      await this.#add(path);
    } catch (e) {
      this.#drop(path);
      if (isCode(e, 'ENOENT')) this.#options.onFolderGone(path);
      else this.#options.onError(path, e as Error);
    }
  }

  #drop(folder: string): void {
    for (const [path, watcher] of [...this.#folders]) {
      if (path !== folder && !path.startsWith(`${folder}/`)) continue;
      watcher.close();
      this.#folders.delete(path);
    }
  }
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isDirectory();
  } catch (e) {
    if (isCode(e, 'ENOENT')) return false;
    throw e;
  }
}
