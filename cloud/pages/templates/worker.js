// A visitor under the trees has signal for a moment. What he saw stays in his browser, and is shown when the network
// does not answer within three seconds. What is newer replaces it; what is gone here is gone there.
const SLOW_MS = 3000;
self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", event => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", event => {
  const asked = event.request;
  if (asked.method === "GET" && new URL(asked.url).origin === location.origin) event.respondWith(answer(asked));
});

async function answer(asked) {
  const cache = await caches.open("gocche");
  const kept = await cache.match(asked, { ignoreVary: true }) || await otherwise(cache, asked);
  const fresh = fetch(asked).then(async got => {
    if (got.ok) await cache.put(asked, got.clone());
    else if (got.status < 500) await cache.delete(asked, { ignoreVary: true });
    return got.status >= 500 && kept ? kept : got;
  });
  if (!kept) return fresh;
  fresh.catch(() => {});
  return Promise.race([fresh.catch(() => kept), new Promise(done => setTimeout(done, SLOW_MS, kept))]);
}

// a tree that was taken along is known by its path, whatever language the link carries
async function otherwise(cache, asked) {
  const address = new URL(asked.url);
  return address.search ? cache.match(address.origin + address.pathname, { ignoreVary: true }) : undefined;
}
