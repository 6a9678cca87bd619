// A visitor under the trees has signal for a moment. What he saw of the trees stays in his browser, and is shown when
// the network does not answer within three seconds: those pages say themselves how old they are. What is newer replaces
// it; what is gone here is gone there. From where a hamlet can call is needed without signal, and says how old it is.
// Alerts and coverage are of now, and never kept: without signal, a page of ours
// says so in the place of what was not kept.
const SLOW_MS = 3000, UNSEEN = "/mat-song", REPORT = "/bao", KEPT = /^\/($|[Tt]\/|l\/|anh\/|icon|khan-cap($|\/)|bao($|\/(cay|thon)\/))/, TREE = /^\/[Tt]\/[^/.]+$/;
self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", event => event.waitUntil(begin()));
self.addEventListener("fetch", event => {
  const asked = event.request, address = new URL(asked.url);
  if (asked.method !== "GET" || address.origin !== location.origin) return;
  const got = KEPT.test(address.pathname) ? answer(asked, address) : asked.mode === "navigate" ? fetch(asked) : null;
  if (got) event.respondWith(asked.mode === "navigate" ? got.catch(unseen) : got);
});

// the page that brought us was there before us
async function begin() {
  await self.clients.claim();
  const cache = await caches.open("gocche");
  for (const path of [UNSEEN, REPORT]) await cache.add(path).catch(() => {});
  for (const page of await self.clients.matchAll({ type: "window" })) {
    const { pathname } = new URL(page.url);
    if (!KEPT.test(pathname)) continue;
    await cache.addAll([page.url, ...(TREE.test(pathname) ? [`${pathname}/hinh.svg`] : [])]).catch(() => {});
  }
}

async function unseen(why) {
  const kept = await caches.match(UNSEEN, { ignoreVary: true });
  if (!kept) throw why;
  return kept;
}

async function answer(asked, address) {
  const cache = await caches.open("gocche"), loose = { ignoreVary: true };
  // a tree that was taken along is known by its path, whatever language the link carries
  const kept = await cache.match(asked, loose) || await cache.match(address.origin + address.pathname, loose) ||
    await cache.match(address.origin + address.pathname.replace(/-\d+\.\w+$/, "-360.webp"), loose) ||
    (address.pathname.startsWith(REPORT) ? await cache.match(address.origin + REPORT, loose) : undefined);
  const fresh = fetch(asked).then(async got => {
    if (got.ok) await cache.put(asked, got.clone());
    else if (got.status < 500) await cache.delete(asked, loose);
    return got.status >= 500 && kept ? kept : got;
  });
  if (!kept) return fresh;
  fresh.catch(() => {});
  return Promise.race([fresh.catch(() => kept), new Promise(done => setTimeout(done, SLOW_MS, kept))]);
}
