/** How a process gets its filter: no program of the distribution loads one, so perl, which every Debian has, makes the call. */

/** SECCOMP_SET_MODE_FILTER; numbers of seccomp(2). */
const setFilter = 1;
const seccomp = { x64: 317, arm64: 277 } as const;

/**
 * Arguments for `perl -e` are what follows: the filter in hex, the new root, then a command, which becomes the process. The filter is loaded
 * behind chroot(2), which it may refuse, by who has CAP_SYS_ADMIN still. struct sock_fprog is a count and a pointer.
 */
export function loader(arch: keyof typeof seccomp): string {
  return `delete $ENV{PERL_BADLANG};
my ($hex, $root) = splice @ARGV, 0, 2;
chroot $root and chdir "/" or die "$root: $!\\n";
my $filter = pack "H*", $hex;
my $program = pack "S x![P] P", length($filter) / 8, $filter;
syscall(${seccomp[arch]}, ${setFilter}, 0, $program) == 0 or die "seccomp: $!\\n";
exec { $ARGV[0] } @ARGV or die "$ARGV[0]: $!\\n"`;
}
