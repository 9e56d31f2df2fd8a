/** Moving over a scene with pointer, wheel and keys: one transform, so that no frame lays anything out. */

export interface View {
  /** Shows all of it. */
  fit(): void;
  zoom(factor: number): void;
  pan(dx: number, dy: number): void;
  /** Moves it so far that this place is seen. */
  reveal(place: { readonly x: number; readonly y: number; readonly width: number; readonly height: number }): void;
}

const least = 0.05;
const most = 2.5;
/** px that a pointer may move and still mean a click. */
const slack = 4;

export function createView(scene: HTMLElement, content: SVGElement, size: { width: number; height: number }): View {
  let [x, y, scale] = [0, 0, 1];
  let drawn = false;
  const draw = () => {
    if (drawn) return;
    drawn = true;
    requestAnimationFrame(() => {
      drawn = false;
      content.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
    });
  };
  const zoomAt = (factor: number, px: number, py: number) => {
    const next = Math.min(most, Math.max(least, scale * factor));
    x = px - ((px - x) * next) / scale;
    y = py - ((py - y) * next) / scale;
    scale = next;
    draw();
  };
  const middle = () => [scene.clientWidth / 2, scene.clientHeight / 2] as const;
  scene.addEventListener(
    'wheel',
    (event) => {
      event.preventDefault();
      const { left, top } = scene.getBoundingClientRect();
      zoomAt(Math.exp(-event.deltaY / 500), event.clientX - left, event.clientY - top);
    },
    { passive: false },
  );
  scene.addEventListener('pointerdown', (down) => {
    if (down.button !== 0 || (down.target as Element).closest('button')) return;
    let [lastX, lastY, moving] = [down.clientX, down.clientY, false];
    const move = (event: PointerEvent) => {
      if (!moving && Math.hypot(event.clientX - down.clientX, event.clientY - down.clientY) < slack) return;
      if (!moving) scene.setPointerCapture(down.pointerId);
      moving = true;
      scene.classList.add('moving');
      x += event.clientX - lastX;
      y += event.clientY - lastY;
      [lastX, lastY] = [event.clientX, event.clientY];
      draw();
    };
    const up = () => {
      scene.classList.remove('moving');
      scene.removeEventListener('pointermove', move);
    };
    scene.addEventListener('pointermove', move);
    scene.addEventListener('pointerup', up, { once: true });
    scene.addEventListener('pointercancel', up, { once: true });
  });
  return {
    fit() {
      const room = Math.min(scene.clientWidth / (size.width + 40), scene.clientHeight / (size.height + 40));
      scale = Math.min(1.2, Math.max(least, room));
      x = (scene.clientWidth - size.width * scale) / 2;
      y = (scene.clientHeight - size.height * scale) / 2;
      draw();
    },
    zoom: (factor) => zoomAt(factor, ...middle()),
    pan(dx, dy) {
      x += dx;
      y += dy;
      draw();
    },
    reveal(place) {
      const edge = 24;
      const [left, top] = [place.x * scale + x, place.y * scale + y];
      const [right, bottom] = [left + place.width * scale, top + place.height * scale];
      if (left < edge) x += edge - left;
      else if (right > scene.clientWidth - edge) x -= right - scene.clientWidth + edge;
      if (top < edge) y += edge - top;
      else if (bottom > scene.clientHeight - edge) y -= bottom - scene.clientHeight + edge;
      draw();
    },
  };
}
