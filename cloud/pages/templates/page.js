(d=>{const b=d.body.dataset,all=(q,f)=>d.querySelectorAll(q).forEach(f),id=i=>d.getElementById(i),n=navigator,
age=m=>m<6e4?b.n:(m<36e5?b.m:m<864e5?b.h:b.d).replace("#",Math.floor(m/(m<36e5?6e4:m<864e5?36e5:864e5))),
tick=()=>{const now=Math.max(Date.now(),b.at||0);
all("[data-t]",e=>{e.textContent=age(now-e.dataset.t)});
all("[data-q]",e=>{const m=now-e.dataset.q,c=e.classList;c.remove("live","late","old");c.add(m>864e5?"old":m>b.live*1e3?"late":"live")})},
on=(i,f)=>{const e=id(i);if(e){e.hidden=0;e.onclick=()=>f(e)}};
tick();setInterval(tick,15e3);on("print",()=>print());
if(n.share)on("share",()=>n.share({title:d.title,url:location.href}));
if(n.serviceWorker){n.serviceWorker.register("/sw.js");
on("trail",async e=>{await(await caches.open("gocche")).addAll((await(await fetch(e.dataset.u)).json()).paths);e.textContent=e.dataset.ok;e.disabled=1})}
})(document)
