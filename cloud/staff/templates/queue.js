// What was bound without signal waits here, in the telephone's own database, until the server says that it is written.
// Each has a number of its own: what is sent twice, by two tabs or after an answer that was lost, is written once.
const SLACK_MS = 120e3; // of two clocks, and of an answer that was long under way
const Queue = {
  open() {
    return this.db ??= new Promise((done, fail) => {
      const asked = indexedDB.open("gocche-gan", 1);
      asked.onupgradeneeded = () => asked.result.createObjectStore("waiting", { keyPath: "id" });
      asked.onsuccess = () => done(asked.result);
      asked.onerror = () => fail(asked.error);
    });
  },

  async turn(mode, work) {
    const db = await this.open();
    return new Promise((done, fail) => {
      const turn = db.transaction("waiting", mode, { durability: "strict" });
      const asked = work(turn.objectStore("waiting"));
      turn.oncomplete = () => done(asked.result);
      turn.onabort = () => fail(turn.error);
    });
  },

  async all() {
    return (await this.turn("readonly", kept => kept.getAll())).sort((a, b) => a.made - b.made);
  },

  keep(one) { return this.turn("readwrite", kept => kept.put(one)); },
  drop(id) { return this.turn("readwrite", kept => kept.delete(id)); },

  // Send what waits, in the order in which it was done. Returns what kept it from being sent (a word of the page), and
  // what was written meanwhile.
  send() {
    const work = () => this.sendAll();
    return navigator.locks ? navigator.locks.request("gocche-gan", work) : work();
  },

  async sendAll() {
    const waiting = (await this.all()).filter(one => one.state === "waiting"), written = [];
    let why = "";
    if (!waiting.length) return { why, written };
    const got = await this.ask("/gan/ve.json", 15e3);
    if (typeof got === "string") return { why: got, written };
    const { token, who, now_ms } = await got.json();
    for (const one of waiting) {
      if (one.who !== who) { why ||= "other_person"; continue; } // who did it is who signs for it
      const form = new FormData();
      for (const [name, value] of Object.entries({ token, as: "json", ago: this.ago(one, now_ms), ...one.fields })) form.append(name, value);
      if (one.photo) form.append("photo", one.photo, "photo.jpg");
      const answer = await this.ask("/gan/gui", 120e3, { method: "POST", body: form });
      const told = answer === "unfit" ? { state: "refused", lines: [] } :
        typeof answer === "string" ? null : await answer.json().catch(() => null);
      if (!told) return { why: typeof answer === "string" ? answer : "offline", written };
      if (told.state === "done") { await this.drop(one.id); written.push(...told.lines); }
      else await this.keep({ ...one, state: told.state, told });
    }
    return { why, written };
  },

  // How many seconds ago it was done. The telephone's clock may be wrong; that it was put right shows by how long the
  // server says that the copy of the garden is here. As a rule that happens where signal comes back, after the work.
  // What can be told no more counts as done now: a sensor's figures of before are then no tree's, instead of a wrong one's.
  ago({ made, copy }, now_ms) {
    const since = Date.now() - made;
    if (!copy) return Math.max(0, Math.round(since / 1e3));
    const here = now_ms - copy.made_ms, after = here - (made - copy.at);
    const put_right = Math.abs(Date.now() - copy.at - here) > SLACK_MS;
    const true_ms = [...(put_right ? [after] : []), since].find(ms => ms > -SLACK_MS && ms < here + SLACK_MS);
    return Math.max(0, Math.round((true_ms ?? 0) / 1e3));
  },

  async ask(path, patience, how) {
    try {
      const got = await fetch(path, { redirect: "manual", signal: AbortSignal.timeout(patience), ...how });
      if (got.type === "opaqueredirect") return "sign_in";
      if (got.status === 403) return "forbidden";
      if ([400, 413].includes(got.status)) return "unfit"; // it will never be taken as it is: the others need not wait
      return [200, 409, 422].includes(got.status) ? got : "offline";
    } catch {
      return "offline";
    }
  },
};

// the first screen says what still waits, and sends it: nobody needs to remember
if (self.document) addEventListener("DOMContentLoaded", async () => {
  const note = document.getElementById("unsent");
  if (!note) return;
  await Queue.send();
  const { length } = await Queue.all();
  note.textContent = note.dataset.words.replace("{n}", length);
  note.parentElement.hidden = !length;
});
