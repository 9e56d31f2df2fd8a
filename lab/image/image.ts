/** What an image is here: Debian packages over this machine's own files or a folder's, a few files of ours, and what to start. */
export interface Image {
  /** Without registry and tag. */
  readonly name: string;
  /** Folder with the root file system that all else lies on; `/`: this machine's own. */
  readonly root: string;
  /** Debian packages whose files the container sees, installed on the machine or not. */
  readonly packages: readonly DebianPackage[];
  readonly entrypoint: readonly string[];
  /** Arguments of the entrypoint when the manifest gives neither command nor args. */
  readonly command: readonly string[];
  readonly workingDir: string;
  readonly env: Readonly<Record<string, string>>;
  /** Absolute path -> content. Executable when it starts with `#!`. */
  readonly files: Readonly<Record<string, string>>;
  /** Absolute path -> file below the cache folder that the set-up has fetched; it stands alone and is run as it is. */
  readonly programs: Readonly<Record<string, string>>;
  /** The container sees this checkout, to run one of its programs. */
  readonly needsCheckout: boolean;
}

/** What an image is unless it says more. */
export const emptyImage = {
  root: '/',
  packages: [],
  entrypoint: [],
  command: [],
  workingDir: '/',
  env: {},
  files: {},
  programs: {},
  needsCheckout: false,
} as const;

export interface DebianPackage {
  readonly name: string;
  /** A file of the package: where it exists, the package is installed on this machine. */
  readonly file: string;
}

/**
 * Registry, tag and digest of `image` choose among builds of one program. A lab has one build of each, that of this machine's Debian
 * release, so they are accepted and have no effect.
 */
export function imageName(reference: string): string {
  const bare = reference.replace(/@sha256:[0-9a-f]+$/, '').replace(/:[^/:]+$/, '');
  const [first = '', ...rest] = bare.split('/');
  const withoutRegistry = rest.length > 0 && /[.:]|^localhost$/.test(first) ? rest.join('/') : bare;
  return withoutRegistry.replace(/^library\//, '');
}
