/**
 * Connections that are written to and echoed all the time, a fifth of them read slowly, and new calls beside them (but for a fifth argument
 * `none`), until the folder has the file `stop`; once all have been answered it has the file `going`. Both ways are the same bytes, so what comes back is compared with what a generator of the connection's own says.
 */
export const steadyTraffic = `
const net = require('node:net');
const { existsSync, writeFileSync } = require('node:fs');
const [, host, port, folder, count, calling] = process.argv;
const connect = () => net.connect({ host, port: +port, allowHalfOpen: true });
const stopped = () => existsSync(folder + '/stop');
const fill = (id, at, length) => {
  const bytes = Buffer.allocUnsafe(length);
  for (let i = 0; i < length; i++) bytes[i] = ((at + i) * 31 + ((at + i) >> 8) * 7 + id) & 255;
  return bytes;
};
let wrong = 0, lost = 0, total = 0, answered = 0, stop = false;
setInterval(() => { stop ||= stopped(); }, 100).unref();
const stream = (id) => new Promise((resolve) => {
  const s = connect();
  const slow = id % 5 === 0;
  let sent = 0, got = 0, ended = false, head = Buffer.alloc(0), begun = false;
  const write = () => {
    if (ended) return;
    if (stop) { ended = true; s.end(); return; }
    const more = s.write(fill(id, sent, 8192));
    sent += 8192;
    if (more) setTimeout(write, 20); else s.once('drain', write);
  };
  s.on('data', (d) => {
    if (!begun) {
      head = Buffer.concat([head, d]);
      const at = head.indexOf(10);
      if (at < 0) return;
      begun = true;
      if (++answered === +count) writeFileSync(folder + '/going', '');
      d = head.subarray(at + 1);
    }
    if (!d.equals(fill(id, got, d.length))) wrong++;
    got += d.length;
    if (slow && !stop) { s.pause(); setTimeout(() => s.resume(), 250); }
  });
  let failed = false;
  s.on('error', () => { failed = true; });
  s.on('close', () => { if (failed || got !== sent) lost++; total += got; resolve(); });
  s.once('connect', write);
});
const calls = async () => {
  let n = 0, failed = 0;
  while (!stop) {
    const text = 'call ' + n++ + ';';
    const ok = await new Promise((resolve) => {
      const s = connect();
      let got = '';
      s.on('data', (d) => { got += d; if (got.endsWith(text)) { s.end(); resolve(true); } });
      s.on('error', () => resolve(false));
      s.on('close', () => resolve(false));
      s.write(text);
    });
    if (!ok) failed++;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return { n, failed };
};
(async () => {
  const streams = Array.from({ length: +count }, (_, id) => stream(id));
  const called = calling === 'none' ? { n: 0, failed: 0 } : await calls();
  await Promise.all(streams);
  const { n, failed } = called;
  console.log(JSON.stringify({ wrong, lost, moved: total > 0, calls: n > 0, failed }));
})();`;
