// The duty board: asked for again every few seconds, with a bell that says whether it can ring. What could not be asked
// for, or was not sent, is said loudly: an old board that looks fresh, and a tap that nobody got, cost the most.
"use strict";
const EVERY = 3, LATE_MS = 12e3, PATIENCE_MS = 8e3, LOST_RINGS_MS = 60e3, OLD_MS = 60e3, TONE = 2; // beats are seconds
const now = () => ({ wall: Date.now(), steady: performance.now() });
const within = ms => AbortSignal.timeout?.(ms); // an old browser waits as long as it likes
const $ = id => document.getElementById(id);
// In a tab that is not looked at browsers let a page's own timers beat once a minute, but not those of a worker.
if (typeof document === "undefined") setInterval(() => postMessage(0), 1000);
else { watch($("board")); replay($("film")); ages($("as-of")); }

function watch(board) {
  if (!board) return;
  const bell = $("bell"), words = JSON.parse(bell.dataset.words), title = document.title;
  const memory = {}; // of this page; beyond a reload where the browser lets us keep anything
  const kept = name => { try { return JSON.parse(sessionStorage.getItem(name) ?? "null"); } catch { return memory[name] ?? null; } };
  const keep = (name, value) => { memory[name] = value; try { sessionStorage.setItem(name, JSON.stringify(value)); } catch {} };
  let rings = JSON.parse(bell.dataset.rings), tag = "", asOf = now(), why = "", sound = null, light = null, busy = false, beats = 0;
  const notes = new Map(); // what became of a tap, by its button, for as long as there is that button
  const key = ([number, stage]) => `${number}:${stage}`;
  const loud = () => rings.filter(one => !(kept("muted") ?? []).includes(key(one)));
  // The older of two clocks: one that is put back makes nothing fresh, one that slept with the machine neither.
  const old = () => Math.max(Date.now() - asOf.wall, performance.now() - asOf.steady);
  const armed = () => sound?.state === "running";
  bell.hidden = false;

  // --- the bell
  async function arm(byHand) {
    try {
      sound ??= new (window.AudioContext ?? window.webkitAudioContext)();
      await Promise.race([sound.resume(), new Promise(done => setTimeout(done, 700))]); // blocked, it never settles
      sound.onstatechange = show;
    } catch { sound = null; } // a browser that has no sound at all
    if (byHand) { keep("armed", true); keep("blocked", !armed()); wake(); if (armed()) tone(880, 0.15); }
    show();
  }
  async function wake() {
    try { light = await navigator.wakeLock?.request("screen"); light?.addEventListener("release", show); } catch { light = null; }
    show();
  }
  function tone(pitch, long, at = 0) {
    const wave = sound.createOscillator(), loudness = sound.createGain(), from = sound.currentTime + at;
    wave.type = "square"; wave.frequency.value = pitch;
    loudness.gain.setValueAtTime(0, from);
    loudness.gain.linearRampToValueAtTime(0.5, from + 0.02);
    loudness.gain.linearRampToValueAtTime(0, from + long);
    wave.connect(loudness).connect(sound.destination);
    wave.start(from); wave.stop(from + long + 0.02);
  }
  function ring() {
    const heard = loud(), alarms = heard.length, said = heard.every(one => one[2]) ? words.drill : words.alarm, lost = old() > LOST_RINGS_MS && kept("armed");
    document.title = alarms && beats % (2 * TONE) < TONE ? `🔥 ${alarms} ${said}` : title;
    if (alarms) navigator.vibrate?.([500, 200, 500]);
    if (alarms && armed()) { for (const at of [0, 0.5, 1]) { tone(960, 0.22, at); tone(720, 0.22, at + 0.25); } }
    else if (lost && armed()) tone(300, 0.5);
    bell.dataset.rung = alarms && armed() ? String(Number(bell.dataset.rung ?? 0) + 1) : bell.dataset.rung ?? "0";
  }
  function show() {
    const state = armed() ? "armed" : kept("blocked") ? "blocked" : kept("armed") ? "again" : "not_armed";
    const said = words[state] + (armed() && light && !light.released ? ` ${words.awake}` : "");
    if ($("bell-state").textContent !== said) $("bell-state").textContent = said;
    bell.dataset.state = state;
    bell.classList.toggle("off", !armed());
    bell.classList.toggle("ringing", loud().length > 0);
    $("arm").hidden = armed();
    $("mute").hidden = !loud().length;
    const age = Math.round(old() / 1000), late = old() > LATE_MS || why === "signed_out";
    $("fresh").textContent = words.fresh.replace("{n}", age);
    document.body.classList.toggle("stale", late);
    const lost = $("lost");
    const told = !late ? "" : words[why || "lost"].replace("{time}", new Date(asOf.wall).toLocaleTimeString("vi-VN", { timeZone: "Asia/Ho_Chi_Minh" }));
    if (lost.textContent !== told) lost.textContent = told;
    lost.hidden = !late;
  }
  $("arm").addEventListener("click", () => arm(true));
  $("mute").addEventListener("click", () => { keep("muted", [...(kept("muted") ?? []), ...rings.map(key)].slice(-200)); show(); });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) { if (kept("armed")) wake(); look(); } });
  if (kept("armed")) arm(false);

  // --- the board
  async function look() {
    if (busy) return;
    busy = true;
    try {
      const answer = await fetch("/truc/bang.json", { headers: tag ? { "If-None-Match": tag } : {}, cache: "no-store", signal: within(PATIENCE_MS), redirect: "manual" });
      if (answer.type === "opaqueredirect" || answer.status === 403) { why = "signed_out"; return; }
      if (answer.status !== 304) {
        if (!answer.ok) throw new Error(answer.status);
        if (put(await answer.json())) tag = answer.headers.get("ETag") ?? "";
      }
      asOf = now(); why = "";
    } catch { why = "lost"; }
    finally { busy = false; show(); }
  }
  function put(news) {
    if (board.querySelector("button[disabled]")) return false; // a tap is under way: its answer looks again
    const at = document.activeElement?.id;
    const fresh = new DOMParser().parseFromString(news.html, "text/html");
    board.replaceChildren(...fresh.body.childNodes);
    rings = news.rings;
    note();
    if (at) $(at)?.focus();
    return true;
  }
  function note() {
    for (const [id, told] of notes) {
      const says = $(id)?.form.querySelector(".why");
      if (!says) { notes.delete(id); continue; }
      if (says.textContent !== told) says.textContent = told;
      says.hidden = false;
    }
  }
  board.addEventListener("submit", async event => {
    const form = event.target.closest("form.tap");
    if (!form) return;
    event.preventDefault();
    const button = form.querySelector("button"), before = button.textContent, away = navigator.onLine === false;
    button.disabled = true; button.textContent = words.sending; form.querySelector(".why").hidden = true;
    notes.delete(button.id);
    let told = "";
    try {
      const body = new URLSearchParams(new FormData(form)); body.set("as", "json");
      const answer = await fetch(form.action, { method: "POST", body, signal: within(PATIENCE_MS), redirect: "manual" });
      if (answer.type === "opaqueredirect") told = words.signed_out;
      else {
        const said = await answer.json().catch(() => null); // a proxy between us answers with a page of its own
        told = !said ? answer.status < 500 ? words.not_sent : words.unsure : said.ok && !said.words ? "" : said.words;
      }
    } catch { told = away ? words.not_sent : words.unsure; } // it may have arrived: only its answer is missing
    button.disabled = false; button.textContent = before;
    if (told) { notes.set(button.id, told); note(); navigator.vibrate?.(800); }
    tag = "";
    await look();
  });
  function beat() {
    beats++;
    show();
    if (beats % TONE === 0) ring();
    if (beats % EVERY === 0) look();
  }
  const clock = new Worker("/truc.js"), alone = () => setInterval(beat, 1000);
  clock.onmessage = beat; clock.onerror = alone;
  look(); ring(); show();
}

// --- a page that is not asked for again says how old it is
function ages(line) {
  if (!line) return;
  const from = now();
  const show = () => {
    const old = Math.max(Date.now() - from.wall, performance.now() - from.steady);
    if (old < OLD_MS) return;
    const says = $("as-of-says"), told = line.dataset.old.replace("{n}", Math.floor(old / 60e3));
    line.className = "lost";
    if (says.textContent !== told) says.textContent = told; // read aloud once a minute, not each second
  };
  setInterval(show, 1000);
  document.addEventListener("visibilitychange", show);
}

// --- replay
function replay(film) {
  if (!film) return;
  const steps = [...document.querySelectorAll("#steps > li")], frame = $("frame"), plots = document.querySelector(".plots");
  const start = Number(plots?.dataset.start), end = Number(plots?.dataset.end);
  const cursors = [...document.querySelectorAll(".film")].map(one => {
    const cursor = document.createElement("span"); cursor.className = "cursor"; one.append(cursor); return cursor;
  });
  const show = () => {
    const now = Number(frame.value);
    steps.forEach((one, at) => { one.classList.toggle("at", at === now); one.classList.toggle("later", at > now); });
    $("frame-says").textContent = steps[now]?.innerText ?? "";
    const share = Math.min(1, Math.max(0, (Number(steps[now]?.dataset.at) - start) / (end - start)));
    for (const cursor of cursors) cursor.style.left = `${100 * share}%`;
  };
  film.hidden = !steps.length;
  frame.addEventListener("input", show);
  if (steps.length) show();
}
