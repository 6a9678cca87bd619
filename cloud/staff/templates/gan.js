// Field binding: the telephone keeps a copy of the garden, proposes what is nearest to where it is, and puts what was
// bound into the queue (queue.js), with signal or without.
const id = name => document.getElementById(name), form = id("bind"), box = id("queue");
const words = JSON.parse(box.dataset.words), who = box.dataset.who, ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const SHOWN = 20, COPY = "/gan/vuon.json", EDGE = 1600, AGAIN_MS = 20e3, METRES_A_DEGREE = 111195;
let garden = { tags: {}, sensors: [], own: [], seen: -1 }, here = null, spots = new Map(), own = new Set(), written = [], why = "";

const say = (word, facts = {}) => words[word].replace(/{(\w+)}/g, (_, name) => facts[name]);
const plain = text => text.normalize("NFD").replace(/\p{Mn}/gu, "").toLowerCase().replaceAll("đ", "d");
const made = (tag, text, parts = {}) => Object.assign(document.createElement(tag), text == null ? {} : { textContent: text }, parts);

// --- the copy of the garden

async function load() {
  const cache = await caches.open("gan"), kept = await cache.match(COPY);
  if (kept) use(await kept.json()); // at once: where there is hardly any signal the newer one takes long
  const got = await Queue.ask(COPY, 60e3);
  if (got === "sign_in" || got === "forbidden") why = got;
  if (typeof got === "string") {
    if (!kept) id("copy").textContent = say("old_copy");
    return;
  }
  const copy = { ...await got.json(), at: Date.now() }; // by this telephone's clock, which may be wrong
  await cache.put(COPY, new Response(JSON.stringify(copy)));
  use(copy);
  await cache.addAll(["/gan.js", "/queue.js", "/style.css", "/icon.svg"]).catch(() => {});
  const page = await Queue.ask("/gan", 15e3); // without a tag in it
  if (typeof page !== "string") await cache.put("/gan", page);
}

function use(copy) {
  garden = copy;
  spots = new Map(garden.places.map(([key, name, zone, lat, lon, label]) =>
    [key, { key, name, lat, lon, about: [zone, label, key.split(":")[1]], text: plain(`${name} ${zone} ${label} ${key}`) }]));
  own = new Set(garden.own);
  const time = new Date(garden.made_ms).toLocaleString(document.documentElement.lang, { dateStyle: "short", timeStyle: "short", timeZone: "Asia/Ho_Chi_Minh" });
  id("copy").textContent = say("as_of", { time });
  draw();
}

// --- what is proposed

const away = one => one.m ??= Math.hypot((one.lon - here.lon) * Math.cos(here.lat * Math.PI / 180), one.lat - here.lat) * METRES_A_DEGREE;
const called = key => spots.get(key)?.name ?? key;
const far = m => m < 1000 ? say("metres", { n: Math.round(m) }) : say("kilometres", { n: (m / 1000).toFixed(1) });

function places() {
  const wanted = plain(id("find").value).split(/\s+/).filter(Boolean), of_tag = form.what.value === "tag";
  const found = [...spots.values()].filter(one =>
    (!of_tag || one.key.startsWith("tree:")) && wanted.every(word => one.text.includes(word)));
  return here ? found.sort((a, b) => away(a) - away(b)) : found;
}

function draw() {
  const chosen = form.place?.value, found = places();
  const list = [...found.filter(one => one.key === chosen), ...found.filter(one => one.key !== chosen)];
  id("spots").replaceChildren(...list.slice(0, SHOWN).map(one => {
    const line = made("label"), words = made("span", one.name);
    words.append(made("small", [here && far(away(one)), ...one.about].filter(Boolean).join(" · ")));
    line.append(made("input", null, { type: "radio", name: "place", value: one.key, checked: one.key === chosen }), words);
    return line;
  }));
  id("more").textContent = !found.length ? say("no_place") : found.length > SHOWN ? say("more", { n: found.length - SHOWN }) : "";
  sensors();
  sides();
}

function sensors() {
  const nearest = at => Math.min(...at.map(key => spots.has(key) ? away(spots.get(key)) : Infinity));
  const list = [...garden.sensors];
  if (here) list.sort((a, b) => (a[1].length ? nearest(a[1]) : -1) - (b[1].length ? nearest(b[1]) : -1));
  options("sensor", "—", list.map(([source, at]) =>
    [source, `${source} · ${at.length ? say("hangs_at", { place: at.map(called).join(", ") }) : say("hangs_nowhere")}`]));
  const place = form.place?.value;
  options("instead", say("nothing_instead"), garden.sensors.filter(([source, at]) => at.includes(place) && source !== form.sensor.value).map(([source]) => [source, source]));
}

function options(name, none, list) {
  const select = id(name), chosen = select.value;
  select.replaceChildren(made("option", none, { value: "" }), ...list.map(([value, text]) => made("option", text, { value })));
  select.value = list.some(([value]) => value === chosen) ? chosen : "";
}

function sides() {
  const of_tag = form.what.value === "tag";
  document.querySelectorAll(".of-tag").forEach(one => { one.hidden = !of_tag; });
  document.querySelectorAll(".of-sensor").forEach(one => { one.hidden = of_tag; });
  id("photo").closest(".field").hidden = !of_tag && form.place?.value && !form.place.value.startsWith("tree:");
  id("tag-says").textContent = of_tag && form.tag.value ? tag().says : "";
}

// --- the tag

function spelled(text) {
  const code = text.toUpperCase().replace(/[-\s]/g, "").replaceAll("O", "0").replace(/[IL]/g, "1");
  if (code.length !== 6 || [...code].some(letter => !ALPHABET.includes(letter))) return null;
  const total = [...code.slice(0, 5)].reverse().reduce((sum, letter, place) => {
    const addend = ALPHABET.indexOf(letter) * (place % 2 ? 1 : 2);
    return sum + Math.floor(addend / 32) + addend % 32;
  }, 0);
  return ALPHABET[(32 - total % 32) % 32] === code[5] ? code : null;
}

function tag() {
  const code = spelled(form.tag.value);
  if (!code) return { says: say("tag_slip"), wrong: true };
  if (own.has(code)) return { says: say("tag_tree"), wrong: true };
  const [state, tree] = garden.tags[code] ?? [];
  if (!state) return { code, says: say("tag_unknown") }; // minted since, perhaps: the server knows
  if (state === "retired") return { says: say("tag_retired"), wrong: true };
  return { code, says: state === "bound" ? say("tag_bound", { place: called(`tree:${tree}`) }) : say("tag_blank") };
}

// --- what is done

async function small(file) {
  const picture = await createImageBitmap(file, { imageOrientation: "from-image" });
  const scale = Math.min(1, EDGE / Math.max(picture.width, picture.height));
  const canvas = made("canvas", null, { width: Math.round(picture.width * scale), height: Math.round(picture.height * scale) });
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  return new Promise(done => canvas.toBlob(blob => done(blob ?? file), "image/jpeg", 0.85));
}

async function bind() {
  const of_tag = form.what.value === "tag", place = form.place?.value, read = of_tag && tag();
  if (read?.wrong) return read.says;
  if (!of_tag && !form.sensor.value) return say("choose_sensor");
  if (!place) return say("choose_place");
  if (garden.seen < 0) return say("old_copy");
  const file = id("photo").files[0], shows = place.startsWith("tree:") && file;
  const photo = shows ? await small(file).catch(() => null) : null;
  if (shows && !photo) return say("bad_photo");
  const one = crypto.randomUUID().replaceAll("-", ""), what = of_tag ? `${read.code.slice(0, 3)}-${read.code.slice(3)}` : form.sensor.value;
  const fields = of_tag ? { what: "tag", tag: read.code } :
    { what: "sensor", sensor: form.sensor.value, how: form.how.value, instead: form.instead.value, device: form.device?.value ?? "" };
  const line = say(of_tag ? "tag_to" : "sensor_to", { what, place: called(place) }) + (photo ? `, ${say("photo_with")}` : "");
  navigator.storage?.persist?.().catch(() => {}); // else a browser short of room may drop what waits
  try {
    await Queue.keep({ id: one, who, name: box.dataset.name, made: Date.now(), copy: garden.at && { at: garden.at, made_ms: garden.made_ms },
      line, photo, state: "waiting",
      fields: { ...fields, id: one, seen: garden.seen, place } });
  } catch {
    return say("kept_full");
  }
  form.reset();
  id("find").value = "";
  form.elements.what.value = of_tag ? "tag" : "sensor";
  form.tag.value = "";
  draw();
  send();
  return say("kept");
}

async function send() {
  const asked = await Queue.send();
  why = asked.why;
  written = [...asked.written, ...written].slice(0, 5);
  if (asked.written.length) await load();
  await show();
}

// --- what waits

function button(text, does, kind = "quiet") { return made("button", text, { type: "button", className: kind, onclick: async () => { await does(); await show(); send(); } }); }

function card(one) {
  const line = made("li"), about = made("div"), told = one.told;
  about.append(made("b", one.line));
  if (one.state === "waiting" && one.who !== who) about.append(made("small", say("other_person", { who: one.name || say("nobody") })));
  if (one.state !== "waiting") {
    about.append(made("p", say(one.state), { className: "why" }));
    if (one.state === "conflict") about.append(made("p", `${say("mine")}: ${told.lines[0]}`), made("p", `${say("theirs")}: ${told.lines[1]}`, { className: "now" }));
    else about.append(...told.lines.map(text => made("p", text)));
    const does = made("p", null, { className: "does" }), again = more => Queue.keep({ ...one, ...more, state: "waiting", told: undefined });
    if (one.state === "conflict") does.append(
      button(say("keep_theirs"), () => Queue.drop(one.id)),
      button(say("write_mine"), () => again({ fields: { ...one.fields, seen: told.seen } }), "quiet risky"));
    else does.append(
      button(say("again"), () => again({})),
      ...(one.photo ? [button(say("without_photo"), () => again({ photo: null }))] : []),
      button(say("drop"), () => Queue.drop(one.id), "quiet risky"));
    about.append(does);
  }
  line.append(about);
  return line;
}

async function show() {
  const waiting = await Queue.all(), own = waiting.filter(one => one.state === "waiting").length;
  id("waiting").replaceChildren(...waiting.map(card), ...written.map(text => { const line = made("li"); line.append(made("div", text)); return line; }));
  const state = why && why !== "other_person" ? say(why) : own ? say("waits", { n: own }) : written.length ? say("sent") : "";
  id("state").textContent = state;
  id("sign-in").hidden = why !== "sign_in";
  box.hidden = !waiting.length && !written.length && why !== "sign_in";
}

// --- the page

const in_address = decodeURIComponent(location.pathname.split("/")[2] ?? ""); // a kept page knows no tag
if (in_address && !form.tag.value) form.tag.value = in_address.slice(0, 12);

async function submitted(event) {
  event.preventDefault();
  id("send").disabled = true;
  id("says").textContent = await bind().finally(() => { id("send").disabled = false; });
}

function locate() {
  id("position").textContent = say("locating");
  navigator.geolocation.getCurrentPosition(({ coords }) => {
    here = { lat: coords.latitude, lon: coords.longitude };
    spots.forEach(one => delete one.m);
    id("position").textContent = say(coords.accuracy > 30 ? "exact" : "here", { n: Math.round(coords.accuracy) });
    draw();
  }, () => { id("position").textContent = say("no_position"); }, { enableHighAccuracy: true, timeout: 20e3, maximumAge: 10e3 });
}

// a browser that keeps nothing (a private window of some) is left with the form as it is without script
async function begin() {
  if (!await Queue.open().catch(() => null) || !self.caches) return;
  document.querySelector(".plain").hidden = true;
  document.querySelectorAll(".scripted").forEach(one => { one.hidden = false; });
  form.addEventListener("submit", submitted);
  form.addEventListener("input", event => event.target.id === "find" ? draw() : sides());
  form.addEventListener("change", ({ target: { name } }) => {
    if (name === "what") draw();
    else if (name === "place" || name === "sensor") { sensors(); sides(); } // the list stays, and the focus in it
  });
  id("near").addEventListener("click", locate);
  addEventListener("online", send);
  setInterval(async () => { if ((await Queue.all()).some(one => one.state === "waiting")) send(); }, AGAIN_MS);
  navigator.serviceWorker.register("/worker.js").then(() => navigator.serviceWorker.ready).then(ready => ready.sync?.register("gan")).catch(() => {});
  await show();
  await load();
  await send();
}

begin();
