// In the garden there is often no signal. The page that binds opens all the same, from the copy that it keeps itself
// (gan.js); nothing else of the staff's pages is kept, and signing out takes the copy away. What waits stays. Who opens
// another page without signal comes to that one; the duty's pages excepted: there it is said that there is no signal.
importScripts("/queue.js");
const SLOW_MS = 3000, PAGE = /^\/gan(\/[^/.]*)?$/, DUTY = /^\/(truc|i)(\/|$)/, PARTS = ["/gan.js", "/queue.js", "/style.css", "/icon.svg"];
self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", event => event.waitUntil(self.clients.claim()));
self.addEventListener("sync", event => event.waitUntil(Queue.send()));
self.addEventListener("fetch", event => {
  const { method, url, mode } = event.request, { pathname } = new URL(url);
  if (method === "POST" && pathname === "/dang-xuat") event.waitUntil(caches.delete("gan"));
  const kept = mode === "navigate" && PAGE.test(pathname) ? "/gan" : PARTS.includes(pathname) ? pathname : null;
  if (method === "GET" && kept) event.respondWith(answer(event.request, kept));
  else if (method === "GET" && mode === "navigate" && !DUTY.test(pathname)) event.respondWith(fetch(event.request).catch(field));
});

async function answer(asked, name) {
  const kept = await caches.match(name, { cacheName: "gan" }), fresh = fetch(asked);
  if (!kept) return fresh;
  const good = fresh.then(got => got.status >= 500 ? kept : got, () => kept);
  return Promise.race([good, new Promise(done => setTimeout(done, SLOW_MS, kept))]);
}

async function field(why) {
  if (await caches.match("/gan", { cacheName: "gan" })) return Response.redirect("/gan");
  throw why;
}
