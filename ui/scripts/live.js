// The stream of what happens on the server. It reconnects by itself and always starts from the present state.
(() => {
  const { tell } = easel;
  const LONGEST = 10000, LOST_AFTER = 1500, HIDDEN_AFTER = 30000;
  let source = null, delay = 500, timer = 0, lostTimer = 0, hideTimer = 0;

  function open() {
    close();
    source = new EventSource("/easel/events?cursor=0");
    source.onopen = connected;
    source.onmessage = message => tell("live", JSON.parse(message.data));
    source.onerror = broken;
  }

  function close() {
    clearTimeout(timer);
    source?.close();
    source = null;
  }

  function connected() {
    delay = 500;
    clearTimeout(lostTimer);
    lostTimer = 0;
    tell("connected");
  }

  function broken() {
    close();
    lostTimer ||= setTimeout(() => tell("lost"), LOST_AFTER);
    timer = setTimeout(open, delay * (0.75 + Math.random() / 2));
    delay = Math.min(LONGEST, delay * 1.7);
  }

  // Browsers allow few connections to one server: of the pages nobody looks at, one keeps the stream.
  function hidden() {
    if (!navigator.locks) return close();
    navigator.locks.request("easel-hidden-stream", { ifAvailable: true }, lock => {
      if (!lock) return close();
      return new Promise(resolve => document.addEventListener("visibilitychange", resolve, { once: true }));
    });
  }

  document.addEventListener("visibilitychange", () => {
    clearTimeout(hideTimer);
    if (document.hidden) hideTimer = setTimeout(hidden, HIDDEN_AFTER);
    else if (!source) open();
  });
  window.addEventListener("online", open);
  easel.live = { open };
})();
