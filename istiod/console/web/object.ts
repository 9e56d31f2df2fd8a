/** One object as JSON, in a dialog over the page. */
import type { ObjectView } from '../views/objects.ts';
import { ask } from './client.ts';
import { element } from './text.ts';

export function showObject({ kind, namespace, name }: Pick<ObjectView, 'kind' | 'namespace' | 'name'>): void {
  const shut = element('button', { type: 'button', 'aria-label': 'Close' }, '×');
  const text = element('pre', { tabindex: '0' }, 'Loading…');
  const title = `${kind} ${namespace === '' ? '' : `${namespace}/`}${name}`;
  const dialog = element('dialog', { 'aria-label': title }, element('h2', {}, `${title} `, shut), text);
  shut.addEventListener('click', () => dialog.close());
  dialog.addEventListener('close', () => dialog.remove());
  // Beside it is no page of its own: a click there means the same as the button.
  dialog.addEventListener('click', (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
  ask<object>('object', { kind, namespace, name }).then(
    (object) => {
      text.textContent = JSON.stringify(object, withoutNoise, 2);
    },
    (e: unknown) => {
      text.textContent = (e as Error).message;
    },
  );
}

/** Who wrote which field is for the API server, and hides the rest. */
function withoutNoise(key: string, value: unknown): unknown {
  return key === 'managedFields' ? undefined : value;
}
