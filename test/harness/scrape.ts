/** HTTP on a host of a lab, for readiness and metrics. By Node, since a machine need not have curl. */
import type { HostName, LabApi } from '../../lab/index.ts';

const program = `
fetch(process.argv[1], { signal: AbortSignal.timeout(5_000) }).then(async (r) => {
  process.stdout.write(await r.text());
  process.exitCode = r.ok ? 0 : 1;
}, (e) => { console.error(String(e.cause ?? e)); process.exitCode = 1; });`;

/** The text of `http://127.0.0.1:PORT/metrics` on this host; throws with the reason when there is none. */
export async function scrape(lab: LabApi, host: HostName, port: number): Promise<string> {
  const url = `http://127.0.0.1:${port}/metrics`;
  const { code, stdout, stderr } = await get(lab, host, url);
  if (code !== 0) throw new Error(`${host}: no metrics at ${url}: ${stderr.trim() || stdout.trim()}`);
  return stdout;
}

/** Whether a GET of this path is answered with 2xx now. */
export async function answersOk(lab: LabApi, host: HostName, port: number, path: string): Promise<boolean> {
  return (await get(lab, host, `http://127.0.0.1:${port}${path}`)).code === 0;
}

function get(lab: LabApi, host: HostName, url: string) {
  return lab.execOn(host, [process.execPath, '--eval', program, url]);
}
