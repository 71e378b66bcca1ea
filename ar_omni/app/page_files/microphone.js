// One button: touch to talk, touch again to send. `element` and `trigger` are Gradio's.
// The recording is decoded by the browser and sent as 16-bit wav, mono, 24 kHz, in base64.
const RATE = 24000, MOST_S = 60;
const button = element.querySelector("button");
let recorder = null, stream = null, timer = null;

function say(text) { element.querySelector(".hint").textContent = text; }

if (!window.isSecureContext || !navigator.mediaDevices) {
  button.disabled = true;
  say("The microphone needs HTTPS on this address: start the app with --ssl-certfile and --ssl-keyfile.");
}

function wav(samples) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (at, word) => [...word].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF"); view.setUint32(4, 36 + 2 * samples.length, true); text(8, "WAVEfmt ");
  view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
  view.setUint32(24, RATE, true); view.setUint32(28, 2 * RATE, true);
  view.setUint16(32, 2, true); view.setUint16(34, 16, true);
  text(36, "data"); view.setUint32(40, 2 * samples.length, true);
  samples.forEach((value, i) => view.setInt16(44 + 2 * i, 32767 * Math.max(-1, Math.min(1, value)), true));
  return view.buffer;
}

async function mono(blob) {
  const context = new OfflineAudioContext(1, 1, RATE);
  const decoded = await context.decodeAudioData(await blob.arrayBuffer());
  const mixed = new Float32Array(decoded.length);
  for (let c = 0; c < decoded.numberOfChannels; c++)
    decoded.getChannelData(c).forEach((value, i) => { mixed[i] += value / decoded.numberOfChannels; });
  return mixed;
}

function base64(buffer) {
  return new Promise((resolve) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.split(",")[1]);
    reader.readAsDataURL(new Blob([buffer]));
  });
}

async function start() {
  const heard = window.arOmniSpeech.stop(); // whoever speaks interrupts
  trigger("began", { heard });
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  } catch (error) {
    say(`The microphone cannot be used: ${error.message}`);
    return;
  }
  const pieces = [];
  recorder = new MediaRecorder(stream);
  recorder.ondataavailable = (event) => pieces.push(event.data);
  recorder.onstop = async () => {
    clearTimeout(timer);
    for (const track of stream.getTracks()) track.stop();
    element.classList.remove("recording");
    recorder = null;
    try {
      trigger("recorded", { wav: await base64(wav(await mono(new Blob(pieces)))) });
    } catch (error) {
      say(`The recording cannot be read: ${error.message}`);
    }
  };
  recorder.start();
  say("");
  element.classList.add("recording");
  timer = setTimeout(() => recorder && recorder.stop(), 1000 * MOST_S);
}

button.addEventListener("click", () => (recorder ? recorder.stop() : start()));
