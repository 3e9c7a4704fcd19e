// What Gradio hands to the script of a gr.HTML part (js_on_load), beside what a browser has.

/** The part's own node. */
declare const element: HTMLElement;
/** The part's value, which Python may replace, and what it was made with. */
declare const props: { value: any; [name: string]: any };
/** Calls the Python handler that is connected to this event of the part. */
declare function trigger(event: string, data?: object): void;
/** Calls `listener` whenever Python has changed this prop. */
declare function watch(prop: string, listener: () => void): void;
/** Sends a file to the server. */
declare function upload(file: File): Promise<{ path: string; url: string }>;

interface Window {
  rediprune: PageState;
}
