// Reports wait in this browser until they are sent: each lies in IndexedDB before it goes out, and leaves it when the
// server says that it has it. Its key is made here, once, so a report that was sent twice is one.
(d=>{const id=i=>d.getElementById(i),form=id("report");if(!form||!self.indexedDB||!self.fetch)return;
const here=id("here"),told=id("here-told"),AGAIN_MS=20000,named=location.pathname.match(/^\/bao\/(cay|thon)\/([^/]+)$/);
if(named){const field=id(named[1]==="cay"?"tree":"hamlet");if(!field.value)field.value=decodeURIComponent(named[2])}
if(navigator.geolocation){here.hidden=false;here.onclick=()=>{told.textContent=here.dataset.wait;
navigator.geolocation.getCurrentPosition(p=>{id("lat").value=p.coords.latitude.toFixed(6);id("lon").value=p.coords.longitude.toFixed(6);
told.textContent=here.dataset.ok.replace("#",Math.round(p.coords.accuracy))},()=>{told.textContent=here.dataset.no},{enableHighAccuracy:true,timeout:30000,maximumAge:60000})}}
const opened=new Promise((ok,no)=>{const r=indexedDB.open("gocche-reports",1);
r.onupgradeneeded=()=>r.result.createObjectStore("report",{keyPath:"key"});r.onsuccess=()=>ok(r.result);r.onerror=()=>no(r.error)});
const work=(mode,f)=>opened.then(db=>new Promise((ok,no)=>{const t=db.transaction("report",mode),r=f(t.objectStore("report"));
t.oncomplete=()=>ok(r.result);t.onerror=t.onabort=()=>no(t.error)}));
const line=(list,text,href)=>{const li=d.createElement("li"),e=href?d.createElement("a"):li;e.textContent=text;if(href){e.href=href;li.append(e)}list.append(li)};
const show=async()=>{const all=await work("readonly",s=>s.getAll()),list=id("unsent-list");list.textContent="";
for(const one of all)line(list,`${form.dataset[one.kind]||one.kind} — ${new Date(one.at).toLocaleString(d.documentElement.lang)}`);
id("unsent").hidden=!all.length;id("unsent-n").textContent=all.length?`(${all.length})`:""};
const refuse=words=>{const e=id("refused");e.hidden=false;e.textContent=words;e.scrollIntoView({block:"center"})};
let busy=false;
const flush=async()=>{if(busy)return;busy=true;try{for(const one of await work("readonly",s=>s.getAll())){
const got=await fetch(form.action,{method:"POST",headers:{Accept:"application/json"},body:new URLSearchParams(one.fields)});
const told=await got.json();
if(got.status===201){await work("readwrite",s=>s.delete(one.key));id("sent").hidden=false;line(id("sent-list"),told.code,told.path)}
else if(got.status===422&&told.why==="early"){setTimeout(flush,3500);break}
else if(got.status===422&&(told.why==="old"||told.why==="forged")){const page=await(await fetch("/bao",{cache:"reload"})).text(),
fresh=new DOMParser().parseFromString(page,"text/html").querySelector("#report [name=t]");
if(!fresh)break;one.fields.t=fresh.value;await work("readwrite",s=>s.put(one));setTimeout(flush,3500);break}
else if(got.status===429||got.status>=500){refuse(told.words);break}
else{await work("readwrite",s=>s.delete(one.key));refill(one.fields);refuse(told.words)}}}
catch(e){}finally{busy=false;await show().catch(()=>{})}};
const refill=fields=>{for(const name in fields){const e=form.elements[name];if(e&&name!=="t")e.value=fields[name]}};
form.addEventListener("submit",event=>{event.preventDefault();const fields=Object.fromEntries(new FormData(form));
const key=fields.key=self.crypto.randomUUID?crypto.randomUUID():Array.from(crypto.getRandomValues(new Uint8Array(16)),b=>b.toString(16).padStart(2,"0")).join("");
id("refused").hidden=true;
work("readwrite",s=>s.put({key,at:Date.now(),kind:fields.kind,fields})).then(()=>{const place=fields;form.reset();
id("tree").value=place.tree;id("hamlet").value=place.hamlet;id("lat").value=id("lon").value=told.textContent="";return show()}).then(flush,()=>form.submit())});
addEventListener("online",flush);setInterval(flush,AGAIN_MS);show().then(flush,()=>{})})(document)
