import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { createLogger, LogLevels } from '../../common/core/log.ts';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import { until } from '../../common/testing/until.ts';
import { PluginInstaller, pluginName, uninstallPlugin } from './installer.ts';

const bridge = '{"name":"net","cniVersion":"1.0.0","plugins":[{"type":"bridge"}]}';

class Node {
  readonly netDir: string;
  readonly binDir: string;
  readonly binary: string;
  readonly clock = new FakeClock();
  readonly warnings: string[] = [];

  constructor(t: TestContext) {
    const dir = mkdtempSync(join(tmpdir(), 'aq-cni-'));
    t.after(() => rmSync(dir, { recursive: true }));
    this.netDir = join(dir, 'net.d');
    this.binDir = join(dir, 'bin');
    this.binary = join(dir, 'built');
    mkdirSync(this.netDir);
    writeFileSync(this.binary, 'first');
  }

  installer(t: TestContext, confName?: string): PluginInstaller {
    const write = (line: string) => void this.warnings.push(line);
    const installer = new PluginInstaller({
      netDir: this.netDir,
      binDir: this.binDir,
      confName,
      binary: this.binary,
      runDir: '/run/agent',
      excludedNamespaces: new Set(['kube-system']),
      clock: this.clock,
      log: createLogger({ levels: new LogLevels('warn'), format: 'plain', write }, 'cni'),
    });
    t.after(() => installer.stop());
    return installer;
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.netDir, `.${name}`), text);
    renameSync(join(this.netDir, `.${name}`), join(this.netDir, name));
  }

  plugins(name: string): string[] {
    const { plugins } = JSON.parse(readFileSync(join(this.netDir, name), 'utf8')) as { plugins: { type: string }[] };
    return plugins.map((p) => p.type);
  }

  /** Lets the changes in the folder arrive. */
  settled(what: string, condition: () => boolean): Promise<unknown> {
    return until(what, () => {
      this.clock.advance(100);
      return condition();
    });
  }
}

describe('the installation of the CNI plugin', () => {
  test('puts binary and entry there, and takes both away so that nothing is left', (t) => {
    const node = new Node(t);
    node.write('10-net.conflist', bridge);
    chmodSync(join(node.netDir, '10-net.conflist'), 0o640);
    const installer = node.installer(t);
    assert.equal(installer.ready, false);
    installer.start();
    assert.equal(installer.ready, true);
    assert.deepEqual(node.plugins('10-net.conflist'), ['bridge', pluginName]);
    assert.equal(statSync(join(node.netDir, '10-net.conflist')).mode & 0o777, 0o640);
    assert.equal(statSync(join(node.binDir, pluginName)).mode & 0o777, 0o755);
    installer.stop();
    assert.deepEqual(uninstallPlugin({ ...node, confName: undefined }), [join(node.netDir, '10-net.conflist')]);
    assert.equal(readFileSync(join(node.netDir, '10-net.conflist'), 'utf8'), bridge);
    assert.deepEqual([readdirSync(node.netDir), readdirSync(node.binDir)], [['10-net.conflist'], []]);
    assert.deepEqual(uninstallPlugin({ ...node, confName: undefined }), [], 'again');
  });

  test('heals what somebody else writes, and follows a configuration that comes first', async (t) => {
    const node = new Node(t);
    const installer = node.installer(t);
    installer.start();
    assert.equal(installer.ready, false);
    assert.match(node.warnings.join(), /no network configuration/);
    node.write('10-net.conflist', bridge);
    await node.settled('it is found', () => installer.ready);
    node.write('10-net.conflist', bridge.replace('bridge', 'ptp'));
    await node.settled('it is healed', () => node.plugins('10-net.conflist').join() === `ptp,${pluginName}`);
    node.write('05-other.conflist', bridge);
    await node.settled('it has moved', () => node.plugins('05-other.conflist').includes(pluginName));
    assert.deepEqual(node.plugins('10-net.conflist'), ['ptp']);
    rmSync(join(node.binDir, pluginName));
    await node.settled('the binary is back', () => existsSync(join(node.binDir, pluginName)));
    writeFileSync(node.binary, 'second');
    await node.settled('the newer one', () => readFileSync(join(node.binDir, pluginName), 'utf8') === 'second');
  });

  test('uses the file that it is told, and says why it cannot', (t) => {
    const node = new Node(t);
    node.write('10-net.conflist', bridge);
    const named = node.installer(t, '20-mine.conflist');
    named.start();
    assert.match(node.warnings.join(), /there is no 20-mine.conflist/);
    node.write('05-single.conf', '{"type":"bridge"}');
    const first = node.installer(t);
    first.start();
    assert.equal(first.ready, false);
    assert.match(node.warnings.join(), /05-single.conf: it is no list of plugins/);
    assert.deepEqual(node.plugins('10-net.conflist'), ['bridge']);
  });

  test('a folder that comes later is found', async (t) => {
    const node = new Node(t);
    rmSync(node.netDir, { recursive: true });
    const installer = node.installer(t);
    installer.start();
    mkdirSync(node.netDir);
    node.write('10-net.conflist', bridge);
    await node.settled('it is installed', () => installer.ready);
  });
});
