import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// `npm run dev` shows a running `tunesmith webui` (TUNESMITH_SERVER=http://127.0.0.1:PORT).
export default defineConfig({
  base: "./",
  plugins: [react()],
  server: {
    host: "127.0.0.1",
    proxy: { "/api": process.env.TUNESMITH_SERVER ?? "http://127.0.0.1:7860" },
  },
  build: { target: "es2022", chunkSizeWarningLimit: 800, assetsInlineLimit: 2048 },
});
