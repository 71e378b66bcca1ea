// Plays speech while it is made: float32 samples over HTTP -> buffers that start where the one before ends.
// `element`, `props` and `watch` are Gradio's; props.value is "" or {"turn", "address", "rate"} as json.
const LEAD = 0.2; // seconds of speech that must be there before it starts; doubled whenever it ran dry
const state = { turn: null, rate: 0, received: 0, gaps: 0, queue: [], next: 0, abort: null, lead: LEAD };
let context = null, output = null;

// Browsers let a page sound only after a touch or a key.
function wake() {
  if (!context) return;
  if (context.state === "suspended") context.resume();
}
for (const kind of ["pointerdown", "keydown"]) document.addEventListener(kind, wake, { passive: true });

function open(rate) {
  if (context && context.sampleRate === rate) return;
  context = new AudioContext({ sampleRate: rate });
  output = context.createGain();
  output.connect(context.destination);
  speech.context = context;
  speech.output = output;
}

function played() {
  const now = context ? context.currentTime : 0;
  return state.queue.reduce((sum, { start, length }) =>
    sum + Math.min(length, Math.max(0, Math.round((now - start) * state.rate))), 0);
}

function schedule(samples) {
  const buffer = context.createBuffer(1, samples.length, state.rate);
  buffer.copyToChannel(samples, 0);
  const source = context.createBufferSource();
  source.buffer = buffer;
  source.connect(output);
  const earliest = context.currentTime;
  if (!state.queue.length || state.next < earliest) { // the first samples, or the model was slower than the voice
    if (state.queue.length) { state.gaps += 1; state.lead *= 2; }
    state.next = Math.ceil((earliest + 0.02) * state.rate) / state.rate;
  }
  source.start(state.next);
  state.queue.push({ source, start: state.next, length: samples.length });
  state.next = state.queue.at(-1).start + samples.length / state.rate;
}

async function play({ turn, address, rate }) {
  stop();
  open(rate);
  wake();
  Object.assign(state, { turn, rate, received: 0, gaps: 0, queue: [], next: 0, lead: LEAD, ended: false });
  const abort = state.abort = new AbortController();
  element.classList.add("playing");
  let waiting = [], held = 0, odd = new Uint8Array(0);
  const release = () => { for (const part of waiting) schedule(part); waiting = []; held = 0; };
  try {
    const reader = (await fetch(address, { signal: abort.signal })).body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (abort.signal.aborted) return;
      if (done) break;
      const bytes = new Uint8Array(odd.length + value.length);
      bytes.set(odd); bytes.set(value, odd.length);
      const whole = bytes.length - bytes.length % 4;
      odd = bytes.slice(whole);
      if (!whole) continue;
      const samples = new Float32Array(bytes.slice(0, whole).buffer);
      state.received += samples.length;
      waiting.push(samples);
      held += samples.length / rate;
      if (state.next > context.currentTime || held >= state.lead) release();
    }
    release();
  } catch (error) {
    if (!abort.signal.aborted) console.warn("speech:", error);
  }
  state.ended = true;
  const left = Math.max(0, state.next - context.currentTime);
  state.timer = setTimeout(() => element.classList.remove("playing"), 1000 * left);
}

// Silence at once; returns what was played of the last speech: {"turn", "samples"}, or null.
function stop() {
  clearTimeout(state.timer);
  if (state.abort) state.abort.abort();
  const heard = state.turn ? { turn: state.turn, samples: played() } : null;
  for (const { source } of state.queue) { try { source.stop(); } catch { /* it has ended */ } }
  const now = context ? context.currentTime : 0; // what is cut off now does not count as played later
  for (const part of state.queue)
    part.length = Math.min(part.length, Math.max(0, Math.round((now - part.start) * state.rate)));
  element.classList.remove("playing");
  return heard;
}

const speech = window.arOmniSpeech = { state, stop, played, context, output };
element.addEventListener("click", (event) => {
  if (event.target.closest("button")) trigger("halt", { heard: stop() });
});
watch("value", () => {
  const wanted = props.value ? JSON.parse(props.value) : null;
  if (wanted && wanted.turn !== state.turn) play(wanted);
});
