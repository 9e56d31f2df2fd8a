/**
 * The file system of a container: /usr, /etc, /var, ... of this machine, or of a folder that is the image, under the packages and files
 * of the image, with a layer on top (overlayfs) that takes what the container writes. Nothing the container does reaches what is below.
 */
import { lstatSync, mkdirSync, readdirSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { MeshError } from '../../common/core/errors.ts';

/** Folders of the machine or image that a container sees (hier(7)); of these only, so that homes and data stay out. */
const baseFolders = ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'usr', 'etc', 'var', 'opt'] as const;
const kernelFolders = ['proc', 'sys'] as const;
/** Devices of the machine that every container sees, and terminals. */
const devices = ['null', 'zero', 'full', 'random', 'urandom', 'tty', 'ptmx', 'pts'] as const;
const deviceLinks = {
  fd: '/proc/self/fd',
  stdin: '/proc/self/fd/0',
  stdout: '/proc/self/fd/1',
  stderr: '/proc/self/fd/2',
} as const;
const scratchFolders = ['tmp', 'run', 'root', 'home', 'mnt', 'srv'] as const;

export interface BindMount {
  readonly source: string;
  /** Absolute path in the container. */
  readonly target: string;
  readonly readOnly: boolean;
  /** The source is a file, not a folder. */
  readonly file: boolean;
}

export interface RootfsOptions {
  /** Fresh folder on a file system that overlayfs takes as upper layer (tmpfs). */
  readonly dir: string;
  /** Folder with the files that all else lies on; `/`: the machine's own. */
  readonly base: string;
  /** Unpacked packages, over those; the first wins. */
  readonly layers: readonly string[];
  /** Absolute path -> content; executable when it starts with `#!`. */
  readonly files: Readonly<Record<string, string>>;
  readonly mounts: readonly BindMount[];
  readonly workingDir: string;
  /** Nothing but its mounts can be written. */
  readonly readOnly: boolean;
  /** It sees all devices of the machine. */
  readonly privileged: boolean;
  /** Folder that is /dev/shm. */
  readonly sharedMemory: string;
}

export interface Rootfs {
  /** The folder to chroot(2) into, once what `fstab` lists is mounted in a mount namespace of its own. */
  readonly root: string;
  /** Path of a file in fstab(5) form. */
  readonly fstab: string;
}

/** Makes the folders and files; mounts nothing. */
export function prepareRootfs(o: RootfsOptions): Rootfs {
  const root = join(o.dir, 'root');
  const overlaid = new Set<string>();
  const lines: string[] = [];
  mkdirSync(root, { recursive: true });
  const lock = o.readOnly ? ',ro' : '';
  // What is mounted inside afterwards can be written all the same.
  if (o.readOnly) lines.push(fstabLine(root, root, 'none', `bind${lock}`));
  for (const name of baseFolders) {
    const below = join(o.base, name);
    const kind = entryKind(below);
    if (kind === 'link') symlinkSync(readlinkSync(below), join(root, name));
    if (kind !== 'folder') continue;
    overlaid.add(name);
    for (const part of ['upper', 'work']) mkdirSync(join(o.dir, part, name), { recursive: true });
    mkdirSync(join(root, name));
    const lower = [...o.layers.map((l) => join(l, name)).filter((p) => entryKind(p) === 'folder'), below];
    const options = `lowerdir=${lower.map(lowerPath).join(':')},upperdir=${join(o.dir, 'upper', name)},workdir=${join(o.dir, 'work', name)}`;
    lines.push(fstabLine('overlay', join(root, name), 'overlay', `${options}${lock}`));
  }
  for (const name of kernelFolders) {
    mkdirSync(join(root, name));
    lines.push(fstabLine(`/${name}`, join(root, name), 'none', 'rbind'));
  }
  lines.push(...deviceLines(join(root, 'dev'), o));
  for (const name of scratchFolders) mkdirSync(join(root, name), { mode: name === 'tmp' ? 0o1777 : 0o755 });

  const layered: Layered = { dir: o.dir, root, overlaid, layers: [...o.layers, o.base] };
  for (const [path, content] of Object.entries(o.files)) {
    const place = placeOf(layered, join(resolvePath(layered, dirname(path)), path.split('/').pop()!));
    mkdirSync(dirname(place), { recursive: true });
    writeFileSync(place, content, { mode: content.startsWith('#!') ? 0o755 : 0o644 });
  }
  mkdirSync(placeOf(layered, resolvePath(layered, o.workingDir)), { recursive: true });
  lines.push(...mountLines(layered, o.mounts));
  const fstab = join(o.dir, 'fstab');
  writeFileSync(fstab, `${lines.join('\n')}\n`);
  return { root, fstab };
}

function deviceLines(dev: string, o: RootfsOptions): string[] {
  mkdirSync(dev);
  for (const [name, target] of Object.entries(deviceLinks)) symlinkSync(target, join(dev, name));
  const shown = o.privileged ? readdirSync('/dev').filter((name) => !(name in deviceLinks)) : devices;
  const lines = shown.flatMap((name) => {
    const kind = entryKind(`/dev/${name}`);
    if (kind === undefined || kind === 'link' || name === 'shm') return [];
    if (kind === 'folder') mkdirSync(join(dev, name));
    else writeFileSync(join(dev, name), '');
    return [fstabLine(`/dev/${name}`, join(dev, name), 'none', 'rbind')];
  });
  mkdirSync(join(dev, 'shm'));
  return [...lines, fstabLine(o.sharedMemory, join(dev, 'shm'), 'none', 'bind')];
}

interface Layered {
  readonly dir: string;
  readonly root: string;
  readonly overlaid: ReadonlySet<string>;
  /** The base is the last. */
  readonly layers: readonly string[];
}

/** Outer mounts come first; an inner one needs its mount point in what the outer one shows. */
function mountLines(l: Layered, mounts: readonly BindMount[]): string[] {
  const resolved = mounts
    .map((m) => ({ ...m, target: resolvePath(l, m.target) }))
    .sort((a, b) => a.target.length - b.target.length);
  return resolved.map((m, i) => {
    const outer = resolved.slice(0, i).findLast((o) => m.target.startsWith(`${o.target}/`));
    const place = outer ? join(outer.source, m.target.slice(outer.target.length)) : placeOf(l, m.target);
    makeMountPoint(place, m.file, !outer && existsBelow(l, m.target));
    return fstabLine(m.source, join(l.root, m.target), 'none', m.readOnly ? 'rbind,ro' : 'rbind');
  });
}

function makeMountPoint(place: string, file: boolean, exists: boolean): void {
  mkdirSync(file ? dirname(place) : place, { recursive: true });
  if (file && !exists && entryKind(place) === undefined) writeFileSync(place, '');
}

/** Where a path of the container is written before anything is mounted. */
function placeOf(l: Layered, path: string): string {
  return l.overlaid.has(path.split('/')[1] ?? '') ? join(l.dir, 'upper', path) : join(l.root, path);
}

/** mount(8) would follow a link like /var/run out of the container, so links are resolved here, as seen from inside. */
function resolvePath(l: Layered, path: string): string {
  let rest = path.split('/').filter((p) => p !== '' && p !== '.');
  let current = '/';
  for (let links = 0; rest.length > 0; ) {
    const [part = '', ...later] = rest;
    rest = later;
    if (part === '..') {
      current = dirname(current);
      continue;
    }
    const next = join(current, part);
    const target = linkBelow(l, next);
    if (target === undefined) {
      current = next;
      continue;
    }
    if (++links > 40) throw new MeshError('CONFIG', `${path}: too many symbolic links`);
    if (target.startsWith('/')) current = '/';
    rest = [...target.split('/').filter((p) => p !== '' && p !== '.'), ...rest];
  }
  return current;
}

/** Layers that show at a path, top first. */
function candidates(l: Layered, path: string): string[] {
  const top = path.split('/')[1] ?? '';
  if (!l.overlaid.has(top)) return [join(l.root, path)];
  return [placeOf(l, path), ...l.layers.map((layer) => join(layer, path))];
}

function linkBelow(l: Layered, path: string): string | undefined {
  const first = candidates(l, path).find((p) => entryKind(p) !== undefined);
  return first !== undefined && entryKind(first) === 'link' ? readlinkSync(first) : undefined;
}

function existsBelow(l: Layered, path: string): boolean {
  return candidates(l, path).some((p) => entryKind(p) !== undefined);
}

function entryKind(path: string): 'folder' | 'link' | 'file' | undefined {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return undefined;
  return stat.isDirectory() ? 'folder' : stat.isSymbolicLink() ? 'link' : 'file';
}

/** Overlayfs separates lower layers by colons. */
function lowerPath(path: string): string {
  return path.replace(/[\\:,]/g, '\\$&');
}

/** fstab(5) separates by blanks, which it wants as octal escapes. */
function fstabLine(source: string, target: string, type: string, options: string): string {
  const octal = (s: string) => s.replace(/[ \t\n\\]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, '0')}`);
  return [octal(source), octal(target), type, octal(options), '0', '0'].join(' ');
}
