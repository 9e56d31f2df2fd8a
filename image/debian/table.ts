/** What the image takes from Debian by name. Libraries that these and our own programs are linked with come by themselves (`closure.ts`). */

export interface Wanted {
  readonly package: string;
  readonly why: string;
  /** Absolute paths as with /bin and /lib in /usr; `*` is part of a name. */
  readonly files: readonly string[];
  /** Link -> what it says, for names that a package's own scripts would make. */
  readonly links?: Readonly<Record<string, string>>;
}

/** Debian's name of this machine's kind, which is a folder of libraries. */
export const triple = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';

const iptablesNames = [
  'iptables',
  'ip6tables',
  'iptables-save',
  'ip6tables-save',
  'iptables-restore',
  'ip6tables-restore',
];

export const wanted: readonly Wanted[] = [
  {
    package: 'base-files',
    why: 'which Debian it is, for scanners',
    files: ['/usr/lib/os-release', '/etc/debian_version'],
    links: { '/etc/os-release': '../usr/lib/os-release' },
  },
  {
    package: 'dash',
    why: 'starts the programs; `cni-agent redirect` writes a script for it',
    files: ['/usr/bin/dash'],
    links: { '/usr/bin/sh': 'dash' },
  },
  {
    package: 'util-linux',
    why: "takes the capabilities from ztunnel's workers, and bounds what filter modules use",
    files: ['/usr/bin/setpriv', '/usr/bin/prlimit'],
  },
  {
    package: 'libnftables1',
    why: 'loaded by the addon where nftables captures (native/src/nft.cc)',
    files: [`/usr/lib/${triple}/libnftables.so.1`],
  },
  {
    package: 'iptables',
    why: '`cni-agent redirect --iptables`',
    files: ['/usr/sbin/xtables-nft-multi', `/usr/lib/${triple}/xtables/*.so`],
    links: Object.fromEntries(iptablesNames.map((name) => [`/usr/sbin/${name}`, 'xtables-nft-multi'])),
  },
  {
    package: 'ca-certificates',
    why: 'whom programs trust outside of the mesh',
    files: ['/usr/share/ca-certificates/mozilla/*.crt'],
  },
];

/** Debian moved these into /usr; packages may still name them. */
export const movedToUsr = ['bin', 'sbin', 'lib', 'lib64'] as const;
