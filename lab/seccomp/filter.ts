/** The default profile as a program of the kernel's seccomp filter: classic BPF over `struct seccomp_data` (seccomp(2)). */
import {
  type Arch,
  judged,
  namespaceFlags,
  newestCall,
  personalities,
  refusedCalls,
  refusedFamily,
} from './profile.ts';

/** Offsets in struct seccomp_data; of an argument its lower half, on machines with the lower half first. */
const at = { call: 0, arch: 4, firstArgument: 16 };
/** AUDIT_ARCH_X86_64, AUDIT_ARCH_AARCH64 (linux/audit.h). */
const audit: Record<Arch, number> = { x64: 0xc000_003e, arm64: 0xc000_00b7 };
const errno = { EPERM: 1, ENOSYS: 38 };

/** SECCOMP_RET_ALLOW and SECCOMP_RET_ERRNO with the error's number. */
export const allow = 0x7fff_0000;
export function refuse(error: keyof typeof errno): number {
  return 0x0005_0000 | errno[error];
}

interface Instruction {
  readonly code: number;
  /** Instructions to skip. */
  readonly yes?: number;
  readonly no?: number;
  readonly value: number;
}

/** linux/bpf_common.h: BPF_LD|W|ABS; BPF_JMP|K with JEQ, JGT, JSET; BPF_RET|K. */
const load = (value: number): Instruction => ({ code: 0x20, value });
const result = (value: number): Instruction => ({ code: 0x06, value });
const jump = { equal: 0x15, above: 0x25, anyBit: 0x45 };

/** `then` where the comparison holds; goes on behind it where not. */
function when(comparison: keyof typeof jump, value: number, then: readonly Instruction[]): Instruction[] {
  return [{ code: jump[comparison], value, yes: 0, no: then.length }, ...then];
}

/** `capabilities` in setpriv's names, or all of them. The bytes of an array of struct sock_filter. */
export function defaultFilter(arch: Arch, capabilities: ReadonlySet<string> | 'all'): Buffer {
  const has = (names: readonly string[]) => names.some((n) => capabilities === 'all' || capabilities.has(n));
  const { clone, clone3, socket, personality } = judged[arch];
  const numbers = refusedCalls.filter((c) => !has(c.unless)).map((c) => c[arch]);
  const makesNamespaces = has(['sys_admin']);
  return encode([
    load(at.arch),
    // Programs for another architecture have other numbers.
    { code: jump.equal, value: audit[arch], yes: 1, no: 0 },
    result(refuse('ENOSYS')),
    load(at.call),
    ...when('above', newestCall, [result(refuse('ENOSYS'))]),
    ...numbers.flatMap((n) => (n === null ? [] : when('equal', n, [result(refuse('EPERM'))]))),
    ...(makesNamespaces
      ? []
      : [
          ...when('equal', clone3, [result(refuse('ENOSYS'))]),
          ...when('equal', clone, [
            load(at.firstArgument),
            ...when('anyBit', namespaceFlags, [result(refuse('EPERM'))]),
            result(allow),
          ]),
        ]),
    ...when('equal', socket, [
      load(at.firstArgument),
      ...when('equal', refusedFamily, [result(refuse('EPERM'))]),
      result(allow),
    ]),
    ...when('equal', personality, [
      load(at.firstArgument),
      ...personalities.flatMap((p) => when('equal', p, [result(allow)])),
      result(refuse('EPERM')),
    ]),
    result(allow),
  ]);
}

function encode(program: readonly Instruction[]): Buffer {
  const bytes = Buffer.alloc(program.length * 8);
  for (const [i, { code, yes = 0, no = 0, value }] of program.entries()) {
    bytes.writeUInt16LE(code, i * 8);
    bytes.writeUInt8(yes, i * 8 + 2);
    bytes.writeUInt8(no, i * 8 + 3);
    bytes.writeUInt32LE(value, i * 8 + 4);
  }
  return bytes;
}
