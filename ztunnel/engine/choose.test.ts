import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createLogger, LogLevels } from '../../common/core/log.ts';
import { chooseEngine } from './choose.ts';
import type { Engine } from './engine.ts';
import { nodeEngine } from './node.ts';

const native: Engine = { ...nodeEngine };
const starts = async () => native;
const fails = () => Promise.reject(new Error('aquifer.node is of another version'));

describe('the engine of a worker', () => {
  it('is the native one where it starts', async () => {
    assert.deepEqual(await choose('auto', starts), [
      native,
      ['info which engine moves bytes engine="native" why="the default"'],
    ]);
    const [engine, lines] = await choose('native', starts);
    assert.equal(engine, native);
    assert.match(lines.join(), /engine="native" why="AQUIFER_ENGINE=native"/);
  });

  it("is Node's where the native one does not start, which is said with the reason", async () => {
    const [engine, lines] = await choose('auto', fails);
    assert.equal(engine, nodeEngine);
    assert.match(
      lines[0] ?? '',
      /^warn the native engine does not start; .*error="aquifer.node is of another version"/,
    );
    assert.equal(lines[1], 'info which engine moves bytes engine="node" why="the native engine does not start"');
  });

  it('is the one that was asked for by name, or none', async () => {
    await assert.rejects(choose('native', fails), /of another version/);
    const [engine, lines] = await choose('node', () => assert.fail('it is not to be started'));
    assert.equal(engine, nodeEngine);
    assert.match(lines.join(), /engine="node" why="AQUIFER_ENGINE=node"/);
  });
});

/** The engine, and what the log says: level, message and fields. */
async function choose(
  wanted: 'auto' | 'node' | 'native',
  startNative: () => Promise<Engine>,
): Promise<[Engine, string[]]> {
  const lines: string[] = [];
  const write = (line: string) =>
    void lines.push(
      line
        .trimEnd()
        .split('\t')
        .slice(1)
        .filter((f) => f !== 'worker')
        .join(' '),
    );
  const log = createLogger({ levels: new LogLevels('info'), format: 'plain', write }, 'worker');
  return [await chooseEngine({ engine: wanted, engineSpinUs: 0 }, log, startNative), lines];
}
