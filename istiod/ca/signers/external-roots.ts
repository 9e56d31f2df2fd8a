/** Roots of a CA elsewhere, from a file that its operator keeps; during a rotation it holds the old and the new ones. */
import { type FollowedFiles, followFiles } from '../../../common/core/followed-files.ts';
import { rootsIn, type TrustedRoot } from '../trust.ts';

export interface ExternalRoots {
  current(): readonly TrustedRoot[];
  onChange(listener: () => void): void;
}

export async function followRoots(path: string, options: Omit<FollowedFiles, 'paths' | 'use'>): Promise<ExternalRoots> {
  const listeners = new Set<() => void>();
  let roots: readonly TrustedRoot[] = [];
  await followFiles({
    ...options,
    paths: [path],
    use([text = '']) {
      const found = rootsIn(text);
      if (found.length === 0) throw new Error('it holds no certificate');
      roots = found;
      for (const listener of listeners) listener();
    },
  });
  return { current: () => roots, onChange: (listener) => void listeners.add(listener) };
}
