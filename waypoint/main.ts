/** `bin/waypoint`: a waypoint, until a signal. Exit codes: 0 ended by a signal, 1 failed, 2 wrong use. */
import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { reportMistakes } from '../common/config/reader.ts';
import { systemClock } from '../common/core/clock.ts';
import { describeError, MeshError } from '../common/core/errors.ts';
import { isCode } from '../common/core/files.ts';
import { createLogger, LogLevels, stdoutSink } from '../common/core/log.ts';
import { type Ip, parseIp } from '../common/core/net.ts';
import { help, parseCommand } from './command.ts';
import { parseWaypointConfig } from './config.ts';

async function main(args: readonly string[]): Promise<number> {
  const command = parseCommand(args);
  if (command.kind === 'help') {
    process.stdout.write(`${help}\n`);
    return 0;
  }
  if (command.kind === 'invalid') {
    reportMistakes('waypoint', command.errors);
    return 2;
  }
  if (command.kind === 'bootstrap') {
    const { runBootstrap } = await import('./runtime/run.ts');
    const running = await runBootstrap(command.file, stdoutSink(new LogLevels(process.env['RUST_LOG'])), variable);
    await Promise.race([signalled(), running.quit]);
    await running.stop();
    return 0;
  }
  const parsed = parseWaypointConfig(process.env, command.flags, { file: readIfThere, addresses: ownAddresses });
  if (parsed.kind === 'invalid') {
    reportMistakes('waypoint', parsed.errors);
    return 2;
  }
  const { config, sink } = parsed;
  if (command.kind === 'runtime') {
    const { runMesh } = await import('./runtime/mesh.ts');
    const running = await runMesh(config, sink, variable);
    await Promise.race([signalled(), running.quit]);
    await running.stop();
    return 0;
  }
  const { startAgent } = await import('./agent/agent.ts');
  const agent = await startAgent({ config, flags: command.flags, envoy: command.envoy, clock: systemClock, sink });
  try {
    const first = await Promise.race([signalled(), agent.ended]);
    if (first === 'signal') {
      await agent.stop();
      return 0;
    }
    createLogger(sink, 'agent').error('Envoy ended', {
      ...(first.code !== null && { code: first.code }),
      ...(first.signal !== null && { signal: first.signal }),
    });
    return 1;
  } finally {
    agent.close();
  }
}

/** For tags of spans that name one. */
function variable(name: string): string | undefined {
  return process.env[name];
}

/** What a link or a machine alone can reach is nobody's address elsewhere. */
function ownAddresses(): readonly Ip[] {
  return Object.values(networkInterfaces())
    .flat()
    .filter((a) => a !== undefined && !a.internal && !/^(fe80:|169\.254\.)/i.test(a.address))
    .flatMap((a) => parseIp(a!.address) ?? []);
}

function signalled(): Promise<'signal'> {
  return new Promise((resolve) => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => resolve('signal'));
  });
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (e) {
    if (isCode(e, 'ENOENT')) return undefined;
    throw new MeshError('CONFIG', describeError(e), { cause: e });
  }
}

main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (e: unknown) => {
    process.stderr.write(`waypoint: ${describeError(e)}\n`);
    process.exit(1);
  },
);
