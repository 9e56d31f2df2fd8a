/** Files as one tar (POSIX ustar), in memory. Pure. */

const block = 512;

export interface ArchivedFile {
  /** Below the archive's folder, at most 155 and 100 characters with a slash between. */
  readonly path: string;
  readonly text: string;
}

/** `modified` in seconds since the epoch. */
export function tar(folder: string, files: readonly ArchivedFile[], modified: number): Buffer {
  const parts = files.flatMap(({ path, text }) => {
    const bytes = Buffer.from(text, 'utf8');
    const padding = Buffer.alloc((block - (bytes.length % block)) % block);
    return [head(`${folder}/${path}`, bytes.length, modified), bytes, padding];
  });
  return Buffer.concat([...parts, Buffer.alloc(2 * block)]);
}

function head(path: string, size: number, modified: number): Buffer {
  const [prefix, name] = split(path);
  const bytes = Buffer.alloc(block);
  const octal = (value: number, at: number, length: number) =>
    bytes.write(`${value.toString(8).padStart(length - 1, '0')}\0`, at, 'latin1');
  bytes.write(name, 0, 100, 'utf8');
  octal(0o644, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(size, 124, 12);
  octal(modified, 136, 12);
  bytes.write('        ', 148, 'latin1');
  bytes.write('0', 156, 'latin1');
  bytes.write('ustar\x0000', 257, 'latin1');
  bytes.write(prefix, 345, 155, 'utf8');
  const sum = bytes.reduce((all, byte) => all + byte, 0);
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return bytes;
}

/** Names of Kubernetes have up to 253 characters. */
function split(path: string): readonly [prefix: string, name: string] {
  if (Buffer.byteLength(path) <= 100) return ['', path];
  const cut = path.lastIndexOf('/');
  return [path.slice(0, cut).slice(0, 155), path.slice(cut + 1).slice(-100)];
}
