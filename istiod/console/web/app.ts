/** The console in a browser: which page is open, who is signed in, and asking again. */
import { ask, SignedOut, signIn, takeTokenFromAddress } from './client.ts';
import { type OpenPage, pages } from './pages.ts';

/** Ms. */
const interval = 5_000;

const byId = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;
const main = byId('page');
const notice = byId('notice');
const login = byId<HTMLFormElement>('login');
const user = byId('user');

let open: { readonly name: string; readonly page: OpenPage } | undefined;
let timer: ReturnType<typeof setTimeout> | undefined;

function nameOf(hash: string): string {
  const name = hash.slice(1);
  return Object.hasOwn(pages, name) ? name : 'graph';
}

async function show(): Promise<void> {
  clearTimeout(timer);
  const name = nameOf(location.hash);
  if (open?.name !== name) {
    main.className = name;
    open = { name, page: pages[name]!(main) };
    for (const link of document.querySelectorAll('nav a')) {
      if (link.getAttribute('href') === `#${name}`) link.setAttribute('aria-current', 'page');
      else link.removeAttribute('aria-current');
    }
  }
  const { page } = open;
  try {
    await page.refresh();
    login.hidden = true;
    notice.textContent = '';
    if (user.textContent === '') user.textContent = (await ask<{ readonly user: string }>('whoami')).user;
  } catch (e) {
    if (e instanceof SignedOut) return askForToken(e.message);
    notice.textContent = e instanceof TypeError ? 'istiod does not answer; asking again' : (e as Error).message;
  }
  if (open?.page === page) timer = setTimeout(() => void show(), interval);
}

function askForToken(message: string): void {
  open = undefined;
  user.textContent = '';
  notice.textContent = message;
  main.replaceChildren();
  login.hidden = false;
  byId('token').focus();
}

login.addEventListener('submit', (event) => {
  event.preventDefault();
  const field = byId<HTMLInputElement>('token');
  signIn(field.value.trim());
  field.value = '';
  void show();
});
addEventListener('hashchange', () => {
  takeTokenFromAddress();
  void show();
  main.focus();
});
// Nobody looks: nothing is asked.
document.addEventListener('visibilitychange', () => {
  if (document.visibilityState === 'visible') void show();
  else clearTimeout(timer);
});
takeTokenFromAddress();
void show();
