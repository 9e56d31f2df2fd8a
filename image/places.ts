/**
 * Bundled code lies elsewhere than in a checkout, but names other files from where it is there (`new URL('x', import.meta.url)`): the image
 * has the checkout's layout for those, and the code is told the place that it would have. Pure.
 */
import { posix } from 'node:path';

export interface NamedFile {
  /** In the checkout, and below the image's folder. */
  readonly path: string;
  /** The module that names it. */
  readonly by: string;
}

/** `at`: path of the module in the checkout; `home`: where the image has what the checkout has. */
export function placed(
  code: string,
  at: string,
  home: string,
): { readonly code: string; readonly named: readonly NamedFile[] } {
  const named: NamedFile[] = [];
  const javascript = code.replaceAll(/new URL\('([^']+)', import\.meta\.url\)/g, (_, file: string) => {
    // What is TypeScript there is bundled here.
    const path = file.replace(/\.ts$/, '.js');
    named.push({ path: posix.join(posix.dirname(at), path), by: at });
    return `new URL('${path}', import.meta.url)`;
  });
  const place = posix.join(home, at);
  return {
    code: javascript
      .replaceAll('import.meta.url', `'file://${place}'`)
      .replaceAll('import.meta.dirname', `'${posix.dirname(place)}'`),
    named,
  };
}
