() => {
  let key = sessionStorage.getItem("ar-omni");
  if (!key) {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    key = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    sessionStorage.setItem("ar-omni", key);
  }
  return key;
}
